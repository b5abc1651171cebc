"""Paintings that are shared by a link: read strictly, written anew, kept in a database, forgotten in time.

Nothing here runs on the event loop but service.py, which hands the rest to threads of its own.
"""
