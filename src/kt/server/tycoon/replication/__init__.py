"""kt-tycoon as a slave of another server."""
