"""Keeps the server usable on the open internet: who may ask, how often, for how long and how much at once.

`tokens` and `limits` are policy; `gate`, `patience` and `connections` stand between a request and the app.
"""
