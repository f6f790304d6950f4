"""The clients: every public method once, in an async source from which the sync twin is made."""
