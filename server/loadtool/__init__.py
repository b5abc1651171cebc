"""The load tool, `scenebrush bench-load`: painters that replay recorded strokes over real sockets, and REST
clients beside them. It is a client like the page: of the server it knows the protocol and nothing else."""
