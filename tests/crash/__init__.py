"""Processes that write are killed; what their files hold afterwards is judged."""
