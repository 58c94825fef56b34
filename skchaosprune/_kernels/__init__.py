"""Compiled loops under public functions; numba lives only here."""
