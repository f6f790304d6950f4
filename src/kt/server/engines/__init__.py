"""Bindings to the storage libraries, Kyoto Cabinet and Tokyo Cabinet."""
