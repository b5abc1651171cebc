"""What the engine says when it is asked for something that it cannot do."""

from __future__ import annotations


class EngineError(ValueError):
    """A request that cannot be met: what was wrong, why it is wrong, what to do next."""

    def __init__(self, what: str, why: str, next: str) -> None:
        super().__init__(f"{what}: {why}. {next}")
        self.what, self.why, self.next = what, why, next


class UnknownModel(EngineError):
    """A model id that no file at hand carries."""


class OutOfMemory(MemoryError):
    """There was too little memory, even after everything that can be made again had been let go."""

    def __init__(self, what: str, why: str, next: str) -> None:
        super().__init__(f"{what}: {why}. {next}")
        self.what, self.why, self.next = what, why, next


class ModelChanged(EngineError):
    """The model's file has been replaced by one that paints by other rules, since the request was made."""
