"""What a pickle would make, read from its opcodes before anything of it is made.

torch's own unpickler runs no code either, but builds whatever the opcodes say: a hundred bytes can ask for a
bytearray of gigabytes, or for a dict copied a million times. A state dict needs very little of that.
"""

from __future__ import annotations

import mmap
import pickletools
from io import BytesIO
from itertools import islice
from typing import IO, cast

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's old format
_MOST_OPCODES = 1_000_000  # a tensor takes about forty
_LEADING = 5  # pickles before the values in the old format: magic, version, system, the object, storage keys

_DICT = "collections.OrderedDict"
_STORAGES = "Float Double Half BFloat16 Long Int Short Char Byte Bool ComplexFloat ComplexDouble"
_ALLOWED = frozenset(
    {_DICT}
    | {f"torch._utils.{name}" for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")}
    | {f"torch.{name}Storage" for name in _STORAGES.split()}
)
_MAKING = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_REFUSED = _MAKING | {"POP", "POP_MARK", "DUP"}  # without these, what is stored is what came last
_STORING = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_FETCHING = {"GET", "BINGET", "LONG_BINGET"}
_CONTAINERS = {"DICT", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET"}
_CHANGING = {"BUILD", "SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS", "FROZENSET", "BYTEARRAY8"}


class NoStateDict(ValueError):
    """A pickle that would make something else; `found` names it."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


def check_pickle(data: bytes) -> None:
    """Hold one pickle against what a state dict needs.

    Raises:
        NoStateDict: it refers to anything but tensors, storages and OrderedDict, or repeats a container.
        ValueError: it is cut short or none at all.
    """
    _Scan().run(BytesIO(data))


def check_old_format(file: IO[bytes]) -> None:
    """Hold the pickles at the start of a file of torch's old format against what a state dict needs.

    Raises:
        NoStateDict, ValueError: as `check_pickle`, or the file is of another format.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = cast("IO[bytes]", mapped)
        first = [(opcode.name, value) for opcode, value, _ in islice(pickletools.genops(view), 3)]
        if first != [("PROTO", 2), ("LONG1", MAGIC), ("STOP", None)]:
            raise ValueError("torch did not write it")
        for _ in range(_LEADING - 1):
            _Scan().run(view)


class _Scan:
    """Follows one pickle's opcodes without making anything.

    What may be fetched from the memo again is text, numbers, classes, storages and tensors. So no container
    counts twice, and all that is made is bounded by the number of opcodes and the file's length.
    """

    def __init__(self) -> None:
        self._last = self._before = ""  # the opcodes before this one, storing aside
        self._named: str | None = None  # the global that was pushed last, if nothing came after it
        self._memo: dict[int, str | None] = {}  # slot → the global it holds, if it holds one
        self._containers: set[int] = set()

    def run(self, source: IO[bytes]) -> None:
        texts: list[str] = []
        for count, (opcode, value, _) in enumerate(pickletools.genops(source)):
            name = opcode.name
            if count == _MOST_OPCODES:
                raise NoStateDict("more than a million things")
            if name in _REFUSED:
                raise NoStateDict(" ".join(texts[-2:]) if name == "STACK_GLOBAL" else str(value or name))
            if name in _STORING:
                self._store(len(self._memo) if name == "MEMOIZE" else int(value or 0))
                continue
            if self._named == _DICT and name not in {"EMPTY_TUPLE", *_STORING}:
                raise NoStateDict("an OrderedDict made of something")
            named: str | None = None
            if name == "GLOBAL":
                named = self._known(str(value))
            elif name in _FETCHING:
                if int(value or 0) in self._containers:
                    raise NoStateDict("a container that stands in several places")
                named = self._memo.get(int(value or 0))
            elif isinstance(value, str):
                texts = [*texts[-1:], value[:80]]
            self._before, self._last, self._named = self._last, name, named

    def _known(self, value: str) -> str:
        name = value.replace(" ", ".")
        if name not in _ALLOWED:
            raise NoStateDict(value)
        return name

    def _store(self, slot: int) -> None:
        self._memo[slot] = self._named
        empty_dict = self._last == "REDUCE" and self._before == "EMPTY_TUPLE"
        if empty_dict or self._last in _CONTAINERS or self._last in _CHANGING:
            self._containers.add(slot)
        else:
            self._containers.discard(slot)
