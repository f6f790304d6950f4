"""Several servers of which one is the master: who that is, and pools that find it."""
