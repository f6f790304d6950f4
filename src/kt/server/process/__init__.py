"""A server process, whatever it serves: start and end, sockets, connections, threads, log."""
