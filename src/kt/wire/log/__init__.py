"""Update logs, snapshots and the streams that carry them: bytes <-> changes. No input or output.

`tycoon` and `tyrant` have the records of the two servers, `snapshots` Kyoto Tycoon's snapshot
files, `positions` how a reader of changes remembers where it was.
"""
