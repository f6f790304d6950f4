"""kt as others get it: the source archive, the wheel, and what is left without a compiler."""
