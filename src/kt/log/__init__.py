"""Update logs and snapshots of both servers as files: to read, check and cut. ``python -m kt.log``.

`read_changes` gives the same changes as the method `changes` of a client, and the same positions.
"""

from __future__ import annotations

from kt.log.reading import LogChanges, read_changes, read_snapshot

__all__ = ["LogChanges", "read_changes", "read_snapshot"]
