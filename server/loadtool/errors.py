"""What stops a load run before it has begun."""

from __future__ import annotations


class LoadError(ValueError):
    """A run that cannot be: what was wrong, why it is wrong, what to do next."""

    def __init__(self, what: str, why: str, next: str) -> None:
        super().__init__(f"{what}: {why}. {next}")
        self.what, self.why, self.next = what, why, next
