"""How kt-tycoon's databases come back: from snapshots, checkpoints and the update log."""
