"""Connections on which the server sends one message after the other, unasked."""
