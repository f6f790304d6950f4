"""The second engine: a table of PostgreSQL, or of what speaks its protocol."""
