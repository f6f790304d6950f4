"""kt-tyrant: a database of Tokyo Cabinet behind the protocols of Tokyo Tyrant."""
