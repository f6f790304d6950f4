"""kt-tycoon: databases of Kyoto Cabinet behind the protocols of Kyoto Tycoon."""
