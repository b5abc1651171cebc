"""One painter as the page is one (static/js/net/live.js), without a socket: its own map is the truth. Pure:
takes messages and the time, gives messages.

What it measures goes into a `Journal`. A change that the line's end has cut off from its frame waits on: the
first frame of the whole map that follows shows it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from server import protocol
from server.loadtool.hand import Labels, Move, Rect
from server.protocol import Close, Frame

FIRST_RETRY: Final = 0.4
LAST_RETRY: Final = 10.0
BUSY_RETRY: Final = 5.0
ASK_AFTER: Final = 4.0
HANG_UP_AFTER: Final = 15.0
"""Seconds, as in the page: silence, while a frame is owed, after which it asks, and after which it hangs
up."""
TOKEN_NEEDED: Final = 4401
TOO_MANY_SOCKETS: Final = 4429
FINAL: Final = frozenset(
    {Close.SUBPROTOCOL, Close.ORIGIN, Close.TOO_BIG, Close.MALFORMED, TOKEN_NEEDED},
)
"""Close codes after which the page does not try again."""
REFUSALS: Final = frozenset({Close.TOO_MANY, TOO_MANY_SOCKETS})
"""Close codes that say: no place now, come back."""


def retry_delay(attempt: int, random: float) -> float:
    """Seconds to wait before attempt `attempt`, 0 for the first; `random`: 0 ≤ x < 1."""
    return min(LAST_RETRY, FIRST_RETRY * 2**attempt) * (0.75 + random / 2)


@dataclass(slots=True)
class Journal:
    """What a painter met, over a stretch of a run. Times in seconds."""

    frames: int = 0
    exact: int = 0
    smaller: int = 0
    """Frames smaller than `ready` announced: painted so under load."""
    bytes: int = 0
    device: float = 0.0
    """Seconds of rendering, by the frames' headers."""
    patches: int = 0
    latencies: list[float] = field(default_factory=list[float])
    """From each change to the first frame that shows it."""
    longest_wait: float = 0.0
    """For a frame, while one was owed."""
    resyncs: int = 0
    reconnects: int = 0
    refusals: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    level: str = "normal"
    """Of the server's load, as last heard."""
    levels: Counter[str] = field(default_factory=Counter[str])
    """All of those heard of."""

    def measured_from_here(self) -> Journal:
        """An empty journal that keeps what went wrong so far: a stage owns up to its newcomers' ramp."""
        fresh = Journal(resyncs=self.resyncs, reconnects=self.reconnects, level=self.level)
        fresh.refusals, fresh.errors, fresh.levels = self.refusals, self.errors, self.levels
        fresh.levels[self.level] += not fresh.levels
        return fresh


class Page:
    """A document of one painter.

    Args:
        labels: the map to begin with, uint8 (height, width); it is painted on.
        label_set: hash of the label set.
        seed: of noise and light.
        model: id, or None for the default.
        picture_format: of its frames.
        quality: "live" takes previews while the hand moves.
    """

    def __init__(
        self,
        labels: Labels,
        label_set: str,
        seed: int,
        *,
        model: str | None = None,
        picture_format: protocol.PictureFormat = "jpeg",
        quality: protocol.Quality = "live",
    ) -> None:
        self.labels = labels
        self.seed = seed
        self.journal = Journal()
        self.epoch = 0
        self.revision = 0
        self.shown = 0
        self.attempt = 0
        self.ready = False
        self._document = {"model": model, "label_set": label_set, "seed": seed, "style": None}
        self._document |= {"format": picture_format, "quality": quality}
        self._whole = False
        self._dirty: Rect | None = None
        self._since: float | None = None
        """When the oldest change that waits to be sent was made."""
        self._unseen: list[tuple[int, float]] = []
        """Changes that no frame has shown: revision, and when it was made."""
        self._owed_since: float | None = None
        self._heard = 0.0
        self._asked = False
        self._paints = (0, 0)
        self._retry_after = 0.0

    # The hand

    def paint(self, move: Move, now: float) -> None:
        """A dab on its own map; `flush` sends it."""
        rect = move.dab.put(self.labels, move.label, move.dx, move.dy)
        if rect is not None:
            self.mark(rect, now)

    def mark(self, rect: Rect, now: float) -> None:
        """Those labels have changed."""
        self._since = now if self._since is None else self._since
        self._dirty = rect if self._dirty is None else self._dirty.around(rect)

    # What goes out

    def opening(self, now: float) -> str:
        """The line is there: ask for the document, in a new epoch. Its whole map follows `ready`."""
        self.epoch += 1
        self.revision = self.shown = 0
        self.ready, self._heard = False, now
        self._want_whole(now)
        height, width = self.labels.shape
        sizes = {"epoch": self.epoch, "width": width, "height": height}
        return json.dumps({"type": "open", **sizes, **self._document})

    def flush(self, now: float) -> bytes | None:
        """What waits to be sent, as one message; None if nothing does, or the line is not ready."""
        if not self.ready or not (self._whole or self._dirty):
            return None
        self.revision += 1
        self._unseen.append((self.revision, now if self._since is None else self._since))
        if self._owed_since is None:
            self._owed_since = self._heard = now
        if self._whole:
            message = protocol.encode_labels(self.epoch, self.revision, 0, 0, self.labels, whole=True)
        else:
            message = self._patch(self._dirty or Rect(0, 0, 1, 1))
        self._whole, self._dirty, self._since = False, None, None
        self.journal.patches += 1
        return message

    def _patch(self, rect: Rect) -> bytes:
        cells = self.labels[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        return protocol.encode_labels(self.epoch, self.revision, rect.x, rect.y, cells)

    # What comes in

    def told(self, text: str, now: float) -> None:
        """A text message of the server."""
        self._heard, self._asked = now, False
        message: dict[str, Any] = json.loads(text)
        match message["type"]:
            case "ready" if message["epoch"] == self.epoch:
                self.ready, self.attempt = True, 0
                self._paints = message["paints_width"], message["paints_height"]
            case "resync" if message["epoch"] == self.epoch:
                self.journal.resyncs += 1
                self._want_whole(now)
            case "error":
                self.journal.errors[f"error {message['code']}"] += 1
            case "bye":
                self._retry_after = float(message.get("retry_after") or 0)
            case "load":
                self.journal.level = str(message["level"])
                self.journal.levels[self.journal.level] += 1
            case _:
                pass

    def show(self, frame: Frame, now: float) -> str | None:
        """A frame is on the screen: its acknowledgement, None if it is of a document that is over."""
        self._heard, self._asked = now, False
        if frame.epoch != self.epoch:
            return None
        journal = self.journal
        journal.frames += 1
        journal.exact += frame.exact
        journal.smaller += (frame.width, frame.height) != self._paints
        journal.bytes += len(frame.picture)
        journal.device += frame.render_us / 1e6
        if self._owed_since is not None:
            journal.longest_wait = max(journal.longest_wait, now - self._owed_since)
        self.shown = frame.revision
        journal.latencies += [now - since for revision, since in self._unseen if revision <= frame.revision]
        self._unseen = [entry for entry in self._unseen if entry[0] > frame.revision]
        self._owed_since = now if self._unseen else None
        return json.dumps({"type": "ack", "epoch": frame.epoch, "frame": frame.frame})

    # The line

    @property
    def owed(self) -> bool:
        """Whether a change has been made that no frame has shown."""
        return bool(self._unseen or self._since is not None)

    def owed_for(self, now: float) -> float:
        """Seconds for which a frame has been owed; 0 if none is."""
        return 0.0 if self._owed_since is None else now - self._owed_since

    def watch(self, now: float) -> str | None:
        """To be called every second or two: a ping to send after some silence. Raises TimeoutError when the
        line is dead."""
        silence = now - self._heard
        if self._owed_since is None or silence < ASK_AFTER:
            self._asked = False
        elif not self._asked:
            self._asked = True
            return json.dumps({"type": "ping", "t": round(now * 1000)})
        elif silence > HANG_UP_AFTER:
            raise TimeoutError("nothing came for so long")
        return None

    def closed(self, code: int, random: float) -> float | None:
        """The line is gone: seconds to wait before the next attempt, None if there should be none."""
        self.ready = self._asked = False
        if code in FINAL:
            return None
        wait = max(retry_delay(self.attempt, random), self._retry_after)
        self.attempt, self._retry_after = self.attempt + 1, 0.0
        return max(wait, BUSY_RETRY) if code == Close.TOO_MANY else wait

    def _want_whole(self, now: float) -> None:
        """The whole map will be sent, and shows what waited for a frame or to be sent."""
        since = [since for _, since in self._unseen]
        since += [] if self._since is None else [self._since]
        self._since = min(since, default=now)
        self._whole, self._dirty, self._unseen = True, None, []
