"""Kyoto Cabinet, for kt-tycoon: C++ in database/, upkeep/ and protocol/ below a Cython face."""
