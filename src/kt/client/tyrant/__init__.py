"""The clients of Tokyo Tyrant; those for asyncio are the source of the others."""
