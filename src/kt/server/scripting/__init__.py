"""Lua: states, threads that have one, files and visits: what both servers' scripts share."""
