"""Tokyo Cabinet, for kt-tyrant: C++ in database/ and protocol/ below a Cython face."""
