"""Timings. Never part of the tests: machines are shared, and a slow second is not a bug."""
