"""Editing a region of a picture: where to paint, what to mix, and what must stay as it is.

Pure policy on arrays: no web, no files, no models. Pictures are (H, W, C) of 1 or 3 colour channels; inside
this package they are float32 in 0…1, and a region is bool (H, W).
"""
