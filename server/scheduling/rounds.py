"""Whose turn it is, by deficit round robin: equal *time*, whatever a turn takes.

Seats stand in a ring. A visit grants a seat one quantum of seconds; a seat in credit is served. What a
picture takes is known only afterwards, so this is the variant in which a turn may overdraw the credit, and
the debt is paid off by being passed over (Shreedhar & Varghese 1996; *surplus* round robin: Adiseshu et al.
1996). So dear work gets fewer turns, and as much time. What a turn took beyond twice what was thought is
forgiven (`MOST_TIMES`). A seat that does not wait loses what credit it has left, and keeps its debt: nobody
saves up turns, and nobody gets rid of a debt by pausing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

QUANTUM: Final = 0.005
"""Most seconds that a visit grants. It grants no more than the cheapest work that waits is thought to take:
so dear and cheap work is told apart, and nobody has several turns in a row."""
_LEAST: Final = 1e-6
MOST_TIMES: Final = 2.0
"""Times what a turn was thought to take that are charged for it. One that took very long, such as the first,
which loads a model, or one that came after tables were forgotten, costs its seat a turn more, and not as many
as it was long: where fifty wait, each is a matter of seconds."""


class Rounds:
    """The ring of one class of seats, and each seat's credit in seconds."""

    def __init__(self) -> None:
        self._quantum = QUANTUM
        self._credit: OrderedDict[str, float] = OrderedDict()
        self._visited = 0  # times, in the latest turn

    def __len__(self) -> int:
        return len(self._credit)

    def __iter__(self) -> Iterator[str]:
        """The seats, the longest passed over first."""
        return iter(tuple(self._credit))

    def join(self, seat: str) -> None:
        """Sit down, behind everybody else and with nothing."""
        self._credit[seat] = 0.0

    def leave(self, seat: str) -> None:
        self._credit.pop(seat, None)

    def take(self, waiting: Mapping[str, float]) -> str | None:
        """The seat to serve next, which is charged at once; None if nobody waits.

        Args:
            waiting: the seats with work, and the seconds that it is thought to take: what the winner is
                charged until its turn is over.
        """
        order = [seat for seat in self._credit if seat in waiting]
        if not order:
            return None
        self._quantum = min(QUANTUM, max(_LEAST, min(waiting.values())))
        for seat, credit in self._credit.items():
            self._credit[seat] = min(credit, self._quantum if seat in waiting else 0.0)
        visits = {seat: self._visits(seat) for seat in order}
        self._visited = rounds = min(visits.values())
        winner = next(seat for seat in order if visits[seat] == rounds)
        self._turn_the_ring(winner, order, rounds)
        self._credit[winner] -= waiting[winner]
        return winner

    def join_in(self, seat: str, seconds: float) -> None:
        """A seat is served together with the one that was taken last: it is visited as often, and charged."""
        self._credit[seat] += self._quantum * self._visited - seconds
        self._credit.move_to_end(seat)

    def settle(self, seat: str, thought: float, took: float) -> None:
        """A turn is over, and took another time than was thought. A seat that has left owes nothing."""
        if seat in self._credit:
            self._credit[seat] += thought - min(took, MOST_TIMES * thought)

    def _visits(self, seat: str) -> int:
        """How many bring the seat into credit; none if it is."""
        credit = self._credit[seat]
        return 0 if credit > 0 else math.floor(-credit / self._quantum) + 1

    def _turn_the_ring(self, winner: str, order: list[str], rounds: int) -> None:
        """Grant what the visits up to the winner's grant. Whoever was passed stands last, the winner after
        them; who did not wait keeps their place, and so comes early when they do."""
        passed = True
        for seat in order:
            self._credit[seat] += self._quantum * (rounds if passed else max(0, rounds - 1))
            if passed:
                self._credit.move_to_end(seat)
            passed = passed and seat != winner
