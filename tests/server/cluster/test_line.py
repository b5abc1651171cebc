"""A replica's line: fair over seats in time, batches of equal work, one piece of a painter at a time."""

import itertools

from server.cluster.line import Line, Ticket

NUMBERS = itertools.count(1)


def ticket(seat: str, key: str | None = "k", *, painter: bool = True) -> Ticket:
    return Ticket(next(NUMBERS), seat, painter, key)


def serve(line: Line, seconds: dict[str, float] | float = 1.0, uses: int = 1000) -> list[tuple[str, ...]]:
    """Use the device until nothing waits, or so often; the seats of each use."""
    now, served = 0.0, []
    while len(served) < uses and (taken := line.next(now)):
        assert line.next(now) == ()  # busy
        now += seconds if isinstance(seconds, float) else seconds[taken[0].seat]
        line.finish(now)
        served.append(tuple(one.seat for one in taken))
    return served


def test_first_come_first_served_within_a_seat() -> None:
    line = Line(batch=1)
    tickets = [ticket("a", painter=False) for _ in range(3)]
    for one in tickets:
        line.add(one)
    assert line.queued == 3
    for one in tickets:
        assert line.next(0.0) == (one,)
        line.finish(1.0)
    assert line.next(1.0) == ()


def test_many_requests_of_one_ingress_do_not_keep_a_painter_waiting() -> None:
    line = Line(batch=1)
    for _ in range(20):
        line.add(ticket("ingress", painter=False))
    serve(line, uses=3)
    line.add(ticket("painter"))
    assert ("painter",) in serve(line, uses=2)


def test_time_is_shared_and_not_turns() -> None:
    line = Line(batch=1)
    for _ in range(300):
        line.add(ticket("dear", "large", painter=False))
        line.add(ticket("cheap", "small", painter=False))
    served = serve(line, {"dear": 0.08, "cheap": 0.01}, uses=180)
    assert 6 <= served.count(("cheap",)) / served.count(("dear",)) <= 10


def test_equal_work_is_done_together_and_other_work_is_not() -> None:
    line = Line(batch=3)
    for seat, key in (
        ("a", "k"),
        ("b", "other"),
        ("c", "k"),
        ("d", "k"),
        ("e", "k"),
        ("f", None),
        ("g", None),
    ):
        line.add(ticket(seat, key))
    assert sorted(map(sorted, serve(line))) == [["a", "c", "d"], ["b"], ["e"], ["f"], ["g"]]


def test_requests_of_one_ingress_fill_a_batch_and_pictures_of_one_painter_never() -> None:
    line = Line(batch=3)
    for _ in range(3):
        line.add(ticket("ingress", painter=False))
    assert serve(line) == [("ingress",) * 3]
    for _ in range(2):
        line.add(ticket("painter"))
    assert serve(line) == [("painter",), ("painter",)]


def test_who_gives_up_leaves_the_line() -> None:
    line = Line(batch=1)
    first, second = ticket("a"), ticket("b")
    line.add(first)
    line.add(second)
    line.remove(first)
    line.remove(first)
    assert serve(line) == [("b",)]
    line.leave("a")
    line.leave("b")
    line.leave("never came")
    assert line.seats == 0


def test_a_seat_with_work_stays() -> None:
    line = Line(batch=1)
    line.add(ticket("a"))
    line.leave("a")
    assert serve(line) == [("a",)]
