"""The clients of Kyoto Tycoon; those for asyncio are the source of the others."""
