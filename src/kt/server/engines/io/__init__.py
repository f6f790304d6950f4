"""Threads that serve connections in native code; see io_thread.h."""
