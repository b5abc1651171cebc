"""The scheduler alone: fairness, the one-slot mailbox, the limit of unacknowledged frames, the places."""

import pytest

from server.scheduler import MAX_UNACKNOWLEDGED, QueueFullError, Scheduler


def serve(scheduler: Scheduler, now: float = 0.0, seconds: float = 1.0) -> str | None:
    """One whole turn: who had it."""
    turn = scheduler.next(now)
    if turn is None:
        return None
    scheduler.finish(now + seconds)
    return turn.painter or turn.request


def request(scheduler: Scheduler, name: str, now: float = 0.0) -> None:
    scheduler.admit(name)
    scheduler.enqueue(name, now)


def test_nobody_waits() -> None:
    assert Scheduler(4, 8).next(0.0) is None


def test_requests_are_first_come_first_served() -> None:
    scheduler = Scheduler(4, 8)
    for name in ("a", "b", "c"):
        request(scheduler, name)
    assert [serve(scheduler) for _ in range(4)] == ["a", "b", "c", None]


def test_one_turn_at_a_time() -> None:
    scheduler = Scheduler(4, 8)
    request(scheduler, "a")
    request(scheduler, "b")
    assert scheduler.next(0.0) is not None
    assert scheduler.next(0.0) is None
    scheduler.finish(1.0)
    assert scheduler.next(1.0) is not None


def test_the_newest_revision_takes_the_one_slot() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for now in (1.0, 2.0, 3.0):
        scheduler.offer("p", now)
    turn = scheduler.next(5.0)
    assert turn is not None
    assert turn.waited == 4.0  # since the slot was filled, not since it was overwritten
    scheduler.finish(6.0)
    assert scheduler.next(6.0) is None


def test_what_comes_during_a_render_is_rendered_next() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    scheduler.offer("p", 0.0)
    assert scheduler.next(0.0) is not None
    scheduler.offer("p", 1.0)
    scheduler.offer("p", 2.0)
    scheduler.finish(3.0)
    turn = scheduler.next(3.0)
    assert turn is not None
    assert turn.waited == 2.0


def test_painters_take_turns() -> None:
    scheduler = Scheduler(4, 8)
    served = []
    for painter in "abc":
        scheduler.join(painter)
    for _ in range(9):
        for painter in "abc":
            scheduler.offer(painter, 0.0)
        served.append(serve(scheduler))
    assert served == list("abcabcabc")


def test_requests_and_painters_share() -> None:
    scheduler = Scheduler(100, 8)
    for painter in "ab":
        scheduler.join(painter)
    for number in range(50):
        request(scheduler, f"r{number}")
    served = []
    for _ in range(9):
        for painter in "ab":
            scheduler.offer(painter, 0.0)
        served.append(serve(scheduler))
    # The queue has one turn in three, however long it is.
    assert [name[0] for name in served if name] == ["r", "a", "b"] * 3
    assert [name for name in served if name and name[0] == "r"] == ["r0", "r1", "r2"]


def test_a_silent_painter_costs_nobody_a_turn() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("silent")
    scheduler.join("busy")
    for _ in range(3):
        scheduler.offer("busy", 0.0)
        assert serve(scheduler) == "busy"


def test_at_most_two_frames_are_unacknowledged() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for expected in range(1, MAX_UNACKNOWLEDGED + 1):
        scheduler.offer("p", 0.0)
        assert serve(scheduler) == "p"
        assert scheduler.number_frame("p") == expected
        scheduler.sent("p", expected)
    scheduler.offer("p", 0.0)
    assert serve(scheduler) is None
    assert scheduler.acknowledge("p", 1)
    assert serve(scheduler) == "p"
    assert scheduler.number_frame("p") == 3
    scheduler.sent("p", 3)
    scheduler.offer("p", 0.0)
    assert serve(scheduler) is None
    assert scheduler.acknowledge("p", 3)  # and all before it
    assert serve(scheduler) == "p"


def test_acknowledgements_never_go_back() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for _ in range(2):
        scheduler.sent("p", scheduler.number_frame("p"))
    assert scheduler.acknowledge("p", 2)
    assert scheduler.acknowledge("p", 1)
    scheduler.offer("p", 0.0)
    assert serve(scheduler) == "p"


def test_a_frame_that_was_never_sent_cannot_be_acknowledged() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    number = scheduler.number_frame("p")
    assert not scheduler.acknowledge("p", number)  # painted, but still waiting to be sent
    scheduler.sent("p", number)
    assert not scheduler.acknowledge("p", 2)
    assert scheduler.acknowledge("p", number)


def test_another_document_is_not_held_up_by_old_frames() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for _ in range(MAX_UNACKNOWLEDGED):
        scheduler.number_frame("p")
    scheduler.offer("p", 0.0)
    assert serve(scheduler) is None
    scheduler.forgive("p")
    assert serve(scheduler) == "p"
    assert scheduler.number_frame("p") == MAX_UNACKNOWLEDGED + 1


def test_places_are_bounded_from_the_door_to_the_answer() -> None:
    scheduler = Scheduler(2, 8)
    scheduler.admit("a")
    scheduler.admit("b")
    with pytest.raises(QueueFullError) as full:
        scheduler.admit("c")
    assert full.value.retry_after >= 1.0
    scheduler.enqueue("a", 0.0)
    assert serve(scheduler) == "a"
    with pytest.raises(QueueFullError):
        scheduler.admit("c")  # painted, but its answer is not out yet
    scheduler.release("a")
    scheduler.admit("c")
    assert not scheduler.idle


def test_uploads_are_bounded_apart_from_places() -> None:
    scheduler = Scheduler(1, 2)
    scheduler.begin_upload()
    scheduler.begin_upload()
    with pytest.raises(QueueFullError):
        scheduler.begin_upload()
    scheduler.admit("a")  # whose body is small and came at once
    scheduler.end_upload()
    with pytest.raises(QueueFullError):
        scheduler.begin_upload()  # it would find no place
    scheduler.release("a")
    scheduler.begin_upload()


def test_a_request_that_is_released_leaves_the_queue() -> None:
    scheduler = Scheduler(4, 8)
    for name in ("a", "b"):
        request(scheduler, name)
    scheduler.release("a")
    assert scheduler.queued == 1
    assert serve(scheduler) == "b"


def test_a_painter_that_leaves_gives_up_its_turn() -> None:
    scheduler = Scheduler(4, 8)
    for painter in "ab":
        scheduler.join(painter)
        scheduler.offer(painter, 0.0)
    scheduler.leave("a")
    assert scheduler.painters == 1
    assert serve(scheduler) == "b"
    scheduler.leave("a")  # twice does no harm


def test_a_painter_may_leave_during_its_turn() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("a")
    scheduler.offer("a", 0.0)
    assert scheduler.next(0.0) is not None
    scheduler.leave("a")
    scheduler.finish(1.0)
    assert scheduler.next(1.0) is None
    assert scheduler.idle


def test_retry_after_follows_the_time_that_turns_take() -> None:
    estimates = []
    for seconds in (0.01, 5.0):
        scheduler = Scheduler(10, 8)
        for number in range(40):
            request(scheduler, str(number))
            serve(scheduler, seconds=seconds)
            scheduler.release(str(number))
        for number in range(10):
            scheduler.admit(f"full {number}")
        estimates.append(scheduler.retry_after())
    quick, slow = estimates
    assert quick == 1.0
    assert 15 < slow < 45


def test_a_skipped_turn_is_no_measure() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    before = scheduler.retry_after()
    scheduler.offer("p", 0.0)
    assert scheduler.next(0.0) is not None
    scheduler.skip()
    assert scheduler.retry_after() == before
    assert scheduler.next(0.0) is None


def test_finishing_what_never_began_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        Scheduler(1, 8).finish(0.0)
