"""Zip files in and out, for those of strangers: what a file claims is judged before anything is unpacked, and
what it unpacks to is held against the claim."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from typing import Final

from server.errors import Problem

MOST_ENTRIES: Final = 256
_END: Final = struct.Struct("<4s4H2IH")
"""The end of the central directory (APPNOTE 6.3.10, 4.3.16): mark, disks, entries, size, offset, comment."""
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_LARGEST_ENTRY_RECORD: Final = 512
"""Bytes of an entry in the central directory: its name, and what zip programs write beside it."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100}){0,3}/?")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)

_SAVE_AGAIN: Final = "Save the painting as a project in the studio, and send that file."


def broken(why: str) -> Problem:
    """The file is no project, or a damaged one."""
    return Problem(422, "broken-project", "The project file cannot be read", why, _SAVE_AGAIN)


def too_large(why: str) -> Problem:
    """The file holds more than may be shared."""
    next_step = "Share a smaller painting, such as one without its photo."
    return Problem(413, "project-too-large", "The project file is too large", why, next_step)


class Archive:
    """The files of a zip, each read when it is asked for.

    Raises Problem when made of what is no zip; or one that is encrypted or spans several; holds a name that
    leads elsewhere, comes twice or is a link; more than MOST_ENTRIES files, or more than `max_bytes` of them.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        _check_end(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:
            # Whatever a reader raises on bytes that we did not write means that they are no zip.
            raise broken(f"The zip's list of files is damaged ({type(error).__name__}).") from error
        entries = self._zip.infolist()
        for entry in entries:
            _check_entry(entry)
        names = [entry.filename for entry in entries]
        if len({name.lower() for name in names}) < len(names):
            raise broken("The zip holds two files of one name.")
        if sum(entry.file_size for entry in entries) > max_bytes:
            raise too_large(f"Unpacked it says to have more than {max_bytes} bytes.")

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """A file's bytes. Raises Problem if there is no such file, or it is damaged, or longer than that."""
        try:
            entry = self._zip.getinfo(name)
        except KeyError:
            raise broken(f"The zip holds no {name}.") from None
        if max_bytes is not None and entry.file_size > max_bytes:
            raise too_large(f"{name} has {entry.file_size} bytes; the most is {max_bytes}.")
        try:
            with self._zip.open(entry) as file:
                # Never more than it said, and then whether it is exactly that: its sum is checked at its end.
                content = file.read(entry.file_size + 1)
        except Exception as error:
            raise broken(f"{name} cannot be unpacked ({type(error).__name__}).") from error
        if len(content) != entry.file_size:
            raise broken(f"{name} unpacks to another size than the zip says.")
        return content


def _check_end(data: bytes) -> None:
    """Judge the list of files by its size before zipfile reads it whole: an entry costs it many times the
    bytes that it has in the file."""
    if not data.startswith(b"PK\x03\x04"):
        why = "It does not begin as a zip file."
        raise Problem(415, "not-a-project", "Not a project file", why, _SAVE_AGAIN)
    if len(data) < _END.size or not data[-_END.size :].startswith(b"PK\x05\x06"):
        raise broken("The zip does not end with its list of files: it is cut short, or has a comment.")
    _, disk, first_disk, entries_here, entries, size, offset, comment = _END.unpack(data[-_END.size :])
    if disk or first_disk or entries != entries_here:
        raise broken("The zip is one part of several.")
    if data[-_END.size - 20 :].startswith(_ZIP64_LOCATOR):
        raise too_large("It is a zip of the kind for large files.")
    if entries > MOST_ENTRIES or size > MOST_ENTRIES * _LARGEST_ENTRY_RECORD:
        raise too_large(f"The zip lists {entries} files; the most is {MOST_ENTRIES}.")
    if comment or offset + size + _END.size != len(data):
        raise broken("The zip's list of files is not where it says.")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if name != entry.filename or not _NAME.fullmatch(name) or ".." in name:
        raise broken("The zip holds a file whose name is none of a project's.")
    if entry.flag_bits & 0x2041:  # encrypted, strongly, or its list of files
        raise broken(f"{name} is encrypted.")
    if entry.compress_type not in _METHODS:
        raise broken(f"{name} is packed in a way that projects do not use.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise broken(f"{name} is a link or a device, not a file.")


def write_archive(files: Mapping[str, bytes], packed: str) -> bytes:
    """A zip of these files in this order, equal for equal files. The file named `packed` is compressed; the
    others are pictures, which are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.create_system = 3  # Unix, whatever this runs on
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED if name == packed else zipfile.ZIP_STORED
            archive.writestr(entry, content, compresslevel=9)
    return out.getvalue()
