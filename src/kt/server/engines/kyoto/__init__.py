"""Kyoto Cabinet, for kt-tycoon: C++ in the folders below, with a Cython face."""
