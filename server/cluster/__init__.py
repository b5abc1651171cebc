"""One studio over many machines, by Ray Serve (docs/cluster.md). Imported only where Ray is asked for.

*Ingresses* run the app: they hold sockets, sessions and label maps, and no weights. *Replicas* hold models
and painters, and own a device each. `placing.py` says which replica does what; `router.py`, `deployments.py`
and `launch.py` alone know Ray.
"""
