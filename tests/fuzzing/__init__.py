"""Fuzzing: inputs by the million for everything that reads what strangers send (docs/security.md)."""
