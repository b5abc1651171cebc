"""The scheduler alone: fairness, the one-slot mailbox, the limit of unacknowledged frames, the places."""

import random

import pytest

from server.scheduler import MAX_UNACKNOWLEDGED, Level, QueueFullError, Scheduler


def serve(scheduler: Scheduler, now: float = 0.0, seconds: float = 1.0) -> str | None:
    """One whole turn: who had it."""
    turns = scheduler.next(now)
    if not turns:
        return None
    scheduler.finish(now + seconds)
    (turn,) = turns
    return turn.painter or turn.request


def request(scheduler: Scheduler, name: str, now: float = 0.0) -> None:
    scheduler.admit(name)
    scheduler.enqueue(name, now)


def test_nobody_waits() -> None:
    assert Scheduler(4, 8).next(0.0) == ()


def test_requests_are_first_come_first_served() -> None:
    scheduler = Scheduler(4, 8)
    for name in ("a", "b", "c"):
        request(scheduler, name)
    assert [serve(scheduler) for _ in range(4)] == ["a", "b", "c", None]


def test_one_turn_at_a_time() -> None:
    scheduler = Scheduler(4, 8)
    request(scheduler, "a")
    request(scheduler, "b")
    assert scheduler.next(0.0)
    assert scheduler.next(0.0) == ()
    scheduler.finish(1.0)
    assert scheduler.next(1.0)


def test_the_newest_revision_takes_the_one_slot() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for now in (1.0, 2.0, 3.0):
        scheduler.offer("p", now)
    (turn,) = scheduler.next(5.0)
    assert turn.waited == 4.0  # since the slot was filled, not since it was overwritten
    scheduler.finish(6.0)
    assert scheduler.next(6.0) == ()


def test_what_comes_during_a_render_is_rendered_next() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    scheduler.offer("p", 0.0)
    assert scheduler.next(0.0)
    scheduler.offer("p", 1.0)
    scheduler.offer("p", 2.0)
    scheduler.finish(3.0)
    (turn,) = scheduler.next(3.0)
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


def test_painters_come_before_requests_which_have_a_fifth_of_the_time() -> None:
    scheduler = Scheduler(100, 8)
    for painter in "ab":
        scheduler.join(painter)
    for number in range(50):
        request(scheduler, f"r{number}")
    served = []
    for _ in range(50):
        for painter in "ab":
            scheduler.offer(painter, 0.0)
        served.append(serve(scheduler) or "")
    assert served[0] in "ab"
    kinds = [name[0] for name in served]
    assert 9 <= kinds.count("r") <= 11
    assert abs(kinds.count("a") - kinds.count("b")) <= 1
    assert max(kinds.index("r", at) - at for at in range(40)) <= 5  # and never long without one
    assert [name for name in served if name[0] == "r"] == [f"r{n}" for n in range(kinds.count("r"))]


def test_requests_that_nobody_is_painting_beside_have_all_the_time() -> None:
    scheduler = Scheduler(100, 8)
    scheduler.join("idle")
    for number in range(3):
        request(scheduler, f"r{number}")
    assert [serve(scheduler) for _ in range(3)] == ["r0", "r1", "r2"]


def test_clients_take_turns_however_many_requests_each_has() -> None:
    scheduler = Scheduler(100, 8)
    for number in range(20):
        scheduler.admit(f"bulk{number}")
        scheduler.enqueue(f"bulk{number}", 0.0, client="bulk")
    for number in range(3):
        scheduler.admit(f"one{number}")
        scheduler.enqueue(f"one{number}", 0.0, client="one")
    assert [serve(scheduler) for _ in range(7)] == [
        "bulk0", "one0", "bulk1", "one1", "bulk2", "one2", "bulk3",
    ]  # fmt: skip


def test_time_is_shared_and_not_turns() -> None:
    """A painter whose pictures take ten times as long has a tenth of the turns, and as much of the time."""
    scheduler = Scheduler(4, 8)
    seconds = {"dear": 0.1, "cheap": 0.01}
    took = dict.fromkeys(seconds, 0.0)
    for painter in seconds:
        scheduler.join(painter)
    now, warm = 0.0, 20
    for turn in range(400):
        for painter in seconds:
            scheduler.offer(painter, now, key=painter)
        (served,) = scheduler.next(now)
        name = served.painter or ""
        now += seconds[name]
        scheduler.finish(now)
        number = scheduler.number_frame(name)
        scheduler.sent(name, number)
        scheduler.acknowledge(name, number)
        if turn >= warm:
            took[name] += seconds[name]
    assert took["dear"] == pytest.approx(took["cheap"], rel=0.1)


def test_a_painter_that_pauses_gets_rid_of_no_debt() -> None:
    """Work that takes longer than was thought is paid for afterwards, as two turns at most, also by who was
    away in between."""
    scheduler = Scheduler(4, 8)
    for painter in "ab":
        scheduler.join(painter)
    for _ in range(50):  # what a picture takes as a rule
        scheduler.offer("b", 0.0)
        serve(scheduler, seconds=0.01)
    scheduler.offer("a", 0.0)
    assert serve(scheduler, seconds=0.2) == "a"
    assert serve(scheduler) is None  # nobody waits: a has paused
    served = []
    for _ in range(20):
        for painter in "ab":
            scheduler.offer(painter, 0.0)
        served.append(serve(scheduler, seconds=0.01))
    assert served[0] == "b"
    assert served[:4].count("a") == 1  # two turns' price, and then even shares


def test_several_uses_at_once_are_never_two_of_one_painter() -> None:
    scheduler = Scheduler(4, 8, uses=2)
    for painter in "ab":
        scheduler.join(painter)
        scheduler.offer(painter, 0.0)
    first, second = scheduler.next(0.0), scheduler.next(0.0)
    assert [turns[0].painter for turns in (first, second)] == ["a", "b"]
    scheduler.offer("a", 0.1)
    assert scheduler.next(0.1) == ()  # both uses are taken
    scheduler.finish(0.2, second)
    assert scheduler.next(0.2) == ()  # a's turn still runs
    scheduler.offer("b", 0.2)
    third = scheduler.next(0.2)
    assert third[0].painter == "b"
    scheduler.finish(0.3, first)
    assert scheduler.next(0.3)[0].painter == "a"
    with pytest.raises(RuntimeError):
        scheduler.finish(0.4, first)


def test_what_a_newer_revision_took_the_place_of_is_counted() -> None:
    scheduler = Scheduler(4, 8)
    scheduler.join("p")
    for now in (0.0, 0.1, 0.2):
        scheduler.offer("p", now)
    serve(scheduler)
    scheduler.offer("p", 0.3)
    assert scheduler.superseded == 2


def test_clients_that_have_nothing_in_line_are_forgotten() -> None:
    scheduler = Scheduler(1000, 8)
    for number in range(500):
        name = f"r{number}"
        scheduler.admit(name)
        scheduler.enqueue(name, 0.0, client=f"client {number}")
        if number % 2:
            serve(scheduler)
        scheduler.release(name)
    assert len(scheduler._clients_round) == len(scheduler._lines) == len(scheduler._line_of) == 0


# The load


def busy(scheduler: Scheduler, painters: int, seconds: float, now: float, until: float) -> float:
    """So many hands move and each picture takes so long; frames are acknowledged at once."""
    names = [f"p{number}" for number in range(painters)]
    for name in names:
        if name not in scheduler._painters:
            scheduler.join(name)
    while now < until:
        for name in names:
            scheduler.offer(name, now, key="large", small_key="half")
        turns = scheduler.next(now)
        now += seconds / 4 if turns and turns[0].small else seconds
        scheduler.finish(now)
        number = scheduler.number_frame(turns[0].painter or "", exact=False)
        scheduler.sent(turns[0].painter or "", number)
        scheduler.acknowledge(turns[0].painter or "", number)
        scheduler.observe_load(now)
    return now


def test_the_level_follows_how_long_a_round_takes_and_does_not_swing() -> None:
    scheduler = Scheduler(4, 8)
    now = busy(scheduler, 3, 0.02, 0.0, 3.0)
    assert scheduler.level is Level.NORMAL
    now = busy(scheduler, 12, 0.02, now, now + 3)
    assert scheduler.level is Level.SLOWER
    levels, now = set(), busy(scheduler, 30, 0.02, now, now + 3)
    for _ in range(20):  # half the size takes a quarter of the time, which must not talk the level down
        now = busy(scheduler, 30, 0.02, now, now + 1)
        levels.add(scheduler.level)
    assert levels == {Level.SMALLER}
    for name in list(scheduler._painters):
        scheduler.leave(name)
    now = busy(scheduler, 1, 0.02, now, now + 2)
    assert scheduler.level is Level.SMALLER  # it takes its time to come down
    busy(scheduler, 1, 0.02, now, now + 4)
    assert scheduler.level is Level.NORMAL


def test_one_hand_alone_is_no_load_however_slow_its_pictures_are() -> None:
    scheduler = Scheduler(4, 8)
    busy(scheduler, 1, 0.5, 0.0, 10.0)
    assert scheduler.level is Level.NORMAL
    assert scheduler.round_seconds(10.0) == 0.0


def test_smaller_pictures_are_live_ones_of_large_canvases_only() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    now = busy(scheduler, 30, 0.03, 0.0, 5.0)
    assert scheduler.level is Level.SMALLER
    scheduler.join("large")
    scheduler.join("little")
    seen: dict[str, list[tuple[bool, bool]]] = {"large": [], "little": []}
    stop = now + 10
    while now < stop:
        if now < stop - 6:
            for name, small in (("large", "half"), ("little", None)):
                scheduler.offer(name, now, key=name, small_key=small)
        turns = scheduler.next(now)
        now += 0.02
        if turns:
            scheduler.finish(now)
            name = turns[0].painter or ""
            number = scheduler.number_frame(name, exact=turns[0].exact)
            scheduler.sent(name, number)
            scheduler.acknowledge(name, number)
            if name in seen:
                seen[name].append((turns[0].exact, turns[0].small))
    assert {small for exact, small in seen["large"] if not exact} == {True}
    assert {small for _, small in seen["little"]} == {False}
    assert [row[-1] for row in seen.values()] == [(True, False)] * 2  # who rests gets the whole picture


def test_a_batch_stays_in_time_for_the_most_pressed_in_it() -> None:
    scheduler = Scheduler(40, 8, batch=8)
    for painter in "abcdefgh":
        scheduler.join(painter)
    for _ in range(30):  # 30 ms a picture, alone
        scheduler.offer("a", 0.0, key="k")
        painted_now = scheduler.next(0.0)
        scheduler.finish(0.03, painted_now)
        scheduler.sent("a", scheduler.number_frame("a"))
        scheduler.acknowledge("a", scheduler._painters["a"].numbered)
    for painter in "abcdefgh":
        scheduler.offer(painter, 10.0, key="k")
    assert len(scheduler.next(10.0)) == 3  # 90 ms of the 100
    scheduler.finish(10.09)
    assert len(scheduler.next(10.09)) == 5  # late already: all that are left


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
    scheduler.start_over("p")
    assert serve(scheduler) is None  # what waited was of the old document
    scheduler.offer("p", 0.0)
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
    assert scheduler.next(0.0)
    scheduler.leave("a")
    scheduler.finish(1.0)
    assert scheduler.next(1.0) == ()
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
    assert scheduler.next(0.0)
    scheduler.skip()
    assert scheduler.retry_after() == before
    assert scheduler.next(0.0) == ()


def test_finishing_what_never_began_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        Scheduler(1, 8).finish(0.0)


# Previews and the exact picture that follows them


def painted(scheduler: Scheduler, now: float, *, exact: bool, seconds: float = 0.01) -> tuple[str, ...]:
    """One use of the device whose frames are as exact as asked for, or more, and acknowledged: who had it."""
    turns = scheduler.next(now)
    if turns:
        scheduler.finish(now + seconds)
    for turn in turns:
        if turn.painter is not None:
            number = scheduler.number_frame(turn.painter, exact=exact or turn.exact)
            scheduler.sent(turn.painter, number)
            scheduler.acknowledge(turn.painter, number)
    return tuple(f"{turn.painter or turn.request}{'!' if turn.exact else ''}" for turn in turns)


@pytest.fixture
def resting() -> Scheduler:
    """A painter `p`, whose change of time 1.0 was shown as a preview."""
    scheduler = Scheduler(4, 8, rest=0.1)
    scheduler.join("p")
    scheduler.offer("p", 1.0)
    assert painted(scheduler, 1.0, exact=False) == ("p",)
    return scheduler


def test_after_a_rest_a_preview_is_followed_by_the_exact_picture(resting: Scheduler) -> None:
    assert resting.next(1.05) == ()
    assert resting.wake_at(1.05) == pytest.approx(1.1)
    (turn,) = resting.next(1.15)
    assert (turn.painter, turn.exact, turn.waited) == ("p", True, pytest.approx(0.05))
    assert resting.wake_at(1.15) is None  # the end of this turn wakes everybody
    resting.finish(1.2)
    resting.number_frame("p", exact=True)
    assert resting.next(9.0) == ()
    assert resting.wake_at(9.0) is None


def test_nothing_follows_a_live_picture_that_is_exact() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    scheduler.join("p")
    scheduler.offer("p", 1.0)
    assert painted(scheduler, 1.0, exact=True) == ("p",)
    assert scheduler.wake_at(1.05) is None
    assert scheduler.next(9.0) == ()


def test_a_change_during_the_rest_begins_it_anew(resting: Scheduler) -> None:
    resting.offer("p", 1.09)
    assert painted(resting, 1.1, exact=False) == ("p",)
    assert resting.wake_at(1.11) == pytest.approx(1.19)
    assert resting.next(1.15) == ()
    assert painted(resting, 1.2, exact=True) == ("p!",)


def test_a_long_stroke_is_all_previews_and_ends_with_one_exact_picture() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    scheduler.join("p")
    now, shown = 0.0, []
    for _ in range(200):
        scheduler.offer("p", now)
        shown.append(painted(scheduler, now, exact=False))
        now += 0.016
    assert set(shown) == {("p",)}
    alarm = scheduler.wake_at(now)
    assert alarm is not None
    assert painted(scheduler, alarm, exact=True) == ("p!",)
    assert scheduler.next(alarm + 1) == ()


def test_a_change_that_has_rested_while_it_waited_is_painted_exactly_at_once() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    scheduler.join("p")
    request(scheduler, "slow")
    assert scheduler.next(0.0)
    scheduler.offer("p", 0.0)
    scheduler.finish(5.0)
    (turn,) = scheduler.next(5.0)
    assert (turn.exact, turn.waited) == (True, 5.0)


def test_the_exact_picture_waits_for_acknowledgements(resting: Scheduler) -> None:
    for _ in range(MAX_UNACKNOWLEDGED):
        resting.sent("p", resting.number_frame("p", exact=False))
    assert resting.next(2.0) == ()
    assert resting.wake_at(2.0) is None  # the acknowledgement wakes
    assert resting.acknowledge("p", 2)
    assert painted(resting, 2.0, exact=True) == ("p!",)


def test_exact_pictures_take_their_turn_in_the_round(resting: Scheduler) -> None:
    for painter in "ab":
        resting.join(painter)
    served = []
    for step in range(6):
        now = 2.0 + step * 0.01
        for painter in "ab":
            resting.offer(painter, now)
        served.append(painted(resting, now, exact=False))
    # One turn for the exact picture; it does not hold the moving hands up for longer.
    assert ("p!",) in served[:3]
    assert served.count(("p!",)) == 1
    assert abs(served.count(("a",)) - served.count(("b",))) <= 1


def test_many_moving_hands_do_not_keep_an_exact_picture_away() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    for painter in "pabcdefg":
        scheduler.join(painter)
    scheduler.offer("p", 0.0)
    served, now = [], 0.0
    for _ in range(60):
        for painter in "abcdefg":
            scheduler.offer(painter, now)
        served.append(painted(scheduler, now, exact=False))
        now += 0.01
    assert served[0] == ("p",)
    assert ("p!",) in served[10:20]
    assert served.count(("p!",)) == 1


def test_a_new_document_is_owed_nothing_of_the_old_one(resting: Scheduler) -> None:
    resting.start_over("p")
    assert resting.wake_at(1.0) is None
    assert resting.next(9.0) == ()


def test_an_exact_turn_that_fails_is_repeated_once(resting: Scheduler) -> None:
    assert resting.next(2.0)
    resting.finish(2.1)
    assert resting.failed("p", 2.1, exact=True)
    assert resting.next(2.15) == ()  # after another rest
    assert resting.wake_at(2.15) == pytest.approx(2.2)
    (turn,) = resting.next(2.2)
    assert turn.exact
    resting.finish(2.3)
    assert not resting.failed("p", 2.3, exact=True)
    assert resting.next(9.0) == ()
    assert resting.wake_at(9.0) is None
    resting.offer("p", 9.0)  # a change begins anew
    assert painted(resting, 9.0, exact=False) == ("p",)
    assert resting.next(9.2)
    resting.finish(9.3)
    assert resting.failed("p", 9.3, exact=True)


def test_a_preview_that_fails_is_followed_by_the_exact_picture(resting: Scheduler) -> None:
    resting.offer("p", 2.0)
    assert [turn.exact for turn in resting.next(2.0)] == [False]
    resting.finish(2.01)
    assert resting.failed("p", 2.01, exact=False)
    assert resting.wake_at(2.02) == pytest.approx(2.1)
    assert painted(resting, 2.1, exact=True) == ("p!",)
    assert resting.next(9.0) == ()


def test_a_turn_that_fails_while_a_change_waits_needs_no_repeat(resting: Scheduler) -> None:
    assert resting.next(2.0)
    resting.offer("p", 2.05)
    resting.finish(2.1)
    assert resting.failed("p", 2.1, exact=True)
    assert painted(resting, 2.1, exact=False) == ("p",)
    assert painted(resting, 2.2, exact=True) == ("p!",)
    assert resting.next(9.0) == ()


def test_who_wants_exact_pictures_only_gets_no_others() -> None:
    scheduler = Scheduler(4, 8, rest=0.1)
    scheduler.join("p")
    scheduler.offer("p", 0.0, live=False)
    assert painted(scheduler, 0.0, exact=True) == ("p!",)
    assert scheduler.wake_at(0.0) is None


# Batches


def test_equal_work_that_waits_together_shares_one_use_of_the_device() -> None:
    scheduler = Scheduler(8, 8, batch=4)
    for painter in "abcdef":
        scheduler.join(painter)
        scheduler.offer(painter, 0.0, key="large" if painter in "bd" else "small")
    assert painted(scheduler, 0.0, exact=False) == ("a", "c", "e", "f")
    assert painted(scheduler, 0.01, exact=False) == ("b", "d")
    assert painted(scheduler, 0.02, exact=False) == ()


def test_a_batch_has_a_limit_and_the_round_says_who_is_in() -> None:
    scheduler = Scheduler(8, 8, batch=2)
    served = []
    for painter in "abc":
        scheduler.join(painter)
    for _ in range(6):
        for painter in "abc":
            scheduler.offer(painter, 0.0, key="k")
        served.append(painted(scheduler, 0.0, exact=False))
    assert served == [("a", "b"), ("c", "a"), ("b", "c")] * 2


def test_who_is_left_out_of_a_batch_has_as_much_time() -> None:
    scheduler = Scheduler(8, 8, batch=8)
    for painter in "abcde":
        scheduler.join(painter)
    served = []
    for _ in range(50):
        for painter in "abcde":
            scheduler.offer(painter, 0.0, key="odd" if painter == "c" else "even")
        served.append(painted(scheduler, 0.0, exact=False))
    assert ("c",) in served[:4]
    # Alone it takes four times as long as each of four together: so it has a turn for each four of theirs.
    assert 9 <= served.count(("c",)) <= 11


def test_work_without_a_key_goes_alone() -> None:
    scheduler = Scheduler(8, 8, batch=4)
    for painter in "ab":
        scheduler.join(painter)
        scheduler.offer(painter, 0.0)
    assert painted(scheduler, 0.0, exact=False) == ("a",)
    assert painted(scheduler, 0.0, exact=False) == ("b",)


def test_previews_and_exact_pictures_are_not_mixed() -> None:
    scheduler = Scheduler(8, 8, batch=4, rest=0.1)
    for painter in "abcd":
        scheduler.join(painter)
    for painter, changed in zip("abcd", (0.0, 1.0, 0.0, 1.0), strict=True):
        scheduler.offer(painter, changed, key="k")
    assert painted(scheduler, 1.0, exact=False) == ("a!", "c!")
    assert painted(scheduler, 1.0, exact=False) == ("b", "d")


def test_requests_join_in_their_order_and_fill_what_painters_leave() -> None:
    scheduler = Scheduler(8, 8, batch=4, rest=0.1)
    scheduler.join("a")
    scheduler.offer("a", 0.0, key="k", live=False)
    for name, key in (("r1", "k"), ("r2", "k"), ("r3", "other"), ("r4", "k")):
        scheduler.admit(name)
        scheduler.enqueue(name, 0.0, key=key)
    # r4 does not overtake r3.
    assert painted(scheduler, 0.0, exact=True) == ("a!", "r1!", "r2!")
    assert painted(scheduler, 0.0, exact=True) == ("r3!",)
    assert painted(scheduler, 0.0, exact=True) == ("r4!",)


def test_many_requests_leave_room_for_painters_in_a_batch() -> None:
    scheduler = Scheduler(100, 8, batch=3, rest=0.1)
    for painter in "ab":
        scheduler.join(painter)
    for number in range(20):
        scheduler.admit(f"r{number}")
        scheduler.enqueue(f"r{number}", 0.0, key="k")
    served = []
    for _ in range(3):
        for painter in "ab":
            scheduler.offer(painter, 0.0, key="k", live=False)
        served.append(painted(scheduler, 0.0, exact=True))
    assert [set(use) for use in served] == [{"a!", "b!", "r0!"}, {"a!", "b!", "r1!"}, {"a!", "b!", "r2!"}]


def test_a_batch_is_measured_by_the_picture() -> None:
    estimates = []
    for batch in (1, 10):
        scheduler = Scheduler(40, 8, batch=batch)
        for _ in range(40):
            for number in range(10):
                scheduler.admit(f"{number}")
                scheduler.enqueue(f"{number}", 0.0, key="k")
            while serve_all(scheduler, seconds=5.0):
                pass
            for number in range(10):
                scheduler.release(f"{number}")
        estimates.append(scheduler.retry_after())
    assert estimates[0] > 2 * estimates[1]


def serve_all(scheduler: Scheduler, seconds: float) -> int:
    turns = scheduler.next(0.0)
    if turns:
        scheduler.finish(seconds)
    return len(turns)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_everyone_is_painted_and_ends_exact(batch: int) -> None:
    """Random hands on a busy device: after the last change each painter gets its exact picture, once."""
    rng = random.Random(batch)
    scheduler = Scheduler(8, 8, batch=batch, rest=0.1)
    names = [f"p{number}" for number in range(12)]
    changes = dict.fromkeys(names, 0)
    shown: dict[str, tuple[int, bool]] = {}
    for name in names:
        scheduler.join(name)
    now = 0.0
    while now < 40.0:
        for name in names:
            if now < 20.0 and rng.random() < 0.2:
                scheduler.offer(name, now, key=rng.choice(["k", "l"]) if name < "p5" else "k")
                changes[name] += 1
        turns = scheduler.next(now)
        taken = {turn.painter: changes[turn.painter or ""] for turn in turns}
        assert len(taken) == len(turns) <= batch
        now += rng.choice([0.01, 0.03, 0.2])
        if not turns:
            continue
        scheduler.finish(now)
        for turn in turns:
            name = turn.painter or ""
            number = scheduler.number_frame(name, exact=turn.exact)
            scheduler.sent(name, number)
            scheduler.acknowledge(name, number)
            assert shown.get(name) != (taken[name], True), "an exact picture was painted twice"
            shown[name] = (taken[name], turn.exact)
    assert shown == {name: (changes[name], True) for name in names}
