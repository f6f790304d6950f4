"""kt-tycoon with databases on a cluster: a server without state."""
