"""Bytes over sockets: blocking and asyncio, each with its pool."""
