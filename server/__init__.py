"""The web side of Scenebrush: REST, the live socket, the studio page and the command line.

Imports engine and models, never training (docs/architecture.md). The event loop never runs torch.
"""
