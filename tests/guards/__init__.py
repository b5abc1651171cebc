"""Does anything notice when a guard is gone? `rules.py` lists them, `python -m tests.guards` tries each."""
