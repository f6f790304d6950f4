"""Names of the servers that the library is tested on."""

from __future__ import annotations

TYCOONS = ("tycoon-bundled", "tycoon-original", "tycoon-local")
TYRANTS = ("tyrant-bundled", "tyrant-original", "tyrant-local")
SERVERS = TYCOONS + TYRANTS
