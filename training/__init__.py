"""Training: data, losses, loop, evaluation. Imports models (and engine where it helps), never server."""
