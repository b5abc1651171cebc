"""The models in memory: at most so many, what was not used for longest makes room."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, Protocol, TypeVar


class LetsGo(Protocol):
    """A painter, as its model's place sees it: it forgets what it made with the model."""

    def let_go(self) -> int: ...


class Keeps(Protocol):
    """What can lie in a place: something that lets go of what it can make again."""

    def let_go(self) -> int: ...


T = TypeVar("T", bound=Keeps)


class Place(Generic[T]):
    """One file's content in memory, read when it is first used, and again after it had to make room.

    Painters hold a place and not what lies in it. Once another file has taken its part, it lives for as long
    as somebody holds it.

    Args:
        read: reads the file; None if what lies here could not be read again.
    """

    def __init__(self, shelf: Shelf, read: Callable[[], T] | None, content: T | None = None) -> None:
        self._shelf, self._read, self._content = shelf, read, content
        self.used = shelf.tick()
        self._painters: weakref.WeakSet[LetsGo] = weakref.WeakSet()
        shelf.add(self)

    @staticmethod
    def of(content: T, lock: RLock) -> Place[T]:
        """A place of its own, for something that is there and stays."""
        return Place(Shelf(1, lock), None, content)

    @property
    def lock(self) -> RLock:
        """Held while it is used, read or unloaded."""
        return self._shelf.lock

    @property
    def loaded(self) -> bool:
        return self._content is not None

    @property
    def fixed(self) -> bool:
        """Whether it never makes room."""
        return self._read is None

    def fix(self) -> None:
        """The file is gone, or is another one now: what lies here stays for as long as somebody uses it."""
        self._read = None

    def take(self) -> T:
        """What lies here; it is read if need be, and others may have to make room."""
        self.used = self._shelf.tick()
        content = self._content
        return content if content is not None else self._taken()

    def _taken(self) -> T:
        with self._shelf.lock:
            if self._content is None:
                if self._read is None:
                    raise RuntimeError("nothing lies here, and nothing can be read")
                self._shelf.make_room()
                self._content = self._read()
            return self._content

    def join(self, painter: LetsGo) -> None:
        """A painter paints with what lies here."""
        with self._shelf.lock:
            self._painters.add(painter)

    def let_go(self) -> int:
        """Forget what can be made again, of the content and of all its painters; how many bytes that was."""
        with self._shelf.lock:
            held = sum(painter.let_go() for painter in list(self._painters))
            return held + (0 if self._content is None else self._content.let_go())

    def unload(self) -> bool:
        """Make room, unless it is fixed; whether there is room now that was not. Painters read it again."""
        with self._shelf.lock:
            if self._content is None or self.fixed:
                return False
            self.let_go()
            self._content = None
            return True

    def shed(self) -> int:
        return self._shelf.shed()


class Shelf:
    """Places of any kind.

    Args:
        most: contents at once, 1 at least; fixed ones are counted, but never make room.
        lock: held while anything is painted, read or unloaded: what is in use does not go.
        shed: lets go of whatever can be made again; of everything on the shelf by default.
    """

    def __init__(self, most: int, lock: RLock, shed: Callable[[], int] | None = None) -> None:
        self.most, self.lock = most, lock
        self._shed = shed
        self._ticks = itertools.count()
        self._places: weakref.WeakSet[Place[Any]] = weakref.WeakSet()

    def tick(self) -> int:
        """Later than every other one."""
        return next(self._ticks)

    def add(self, place: Place[Any]) -> None:
        with self.lock:
            self._places.add(place)

    def places(self) -> list[Place[Any]]:
        """All that somebody still holds, what was not used for longest first."""
        with self.lock:
            return sorted(self._places, key=lambda place: place.used)

    def make_room(self) -> None:
        """Room for one more."""
        loaded = [place for place in self.places() if place.loaded]
        excess = len(loaded) - self.most + 1
        for place in loaded:
            if excess <= 0:
                return
            excess -= place.unload()

    def shed(self) -> int:
        """Let go of what can be made again; how many bytes that was."""
        if self._shed is not None:
            return self._shed()
        with self.lock:
            return sum(place.let_go() for place in self.places())
