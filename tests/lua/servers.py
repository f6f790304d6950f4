"""Names of the servers that the library is tested on."""

from __future__ import annotations

TYCOONS = ("tycoon-bundled", "tycoon-original")
TYRANTS = ("tyrant-bundled", "tyrant-original")
SERVERS = TYCOONS + TYRANTS
