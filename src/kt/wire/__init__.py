"""Bytes to values and back, for both protocols and both roles. No socket, no asyncio, no clock."""
