"""The scheduler's parts alone: the ring of seats, what turns are thought to cost, how full the house is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.scheduling.costs import FIRST_GUESS, Costs
from server.scheduling.load import SLOWER_FROM, SMALLER_FROM, Level, Load
from server.scheduling.rounds import MOST_TIMES, QUANTUM, Rounds

COSTS = st.lists(st.floats(0.001, 0.2), min_size=2, max_size=12)


@given(costs=COSTS, guess=st.floats(0.5, 4.0))
@settings(max_examples=60, deadline=None)
def test_seats_that_always_wait_have_equal_time_also_where_a_guess_is_wrong(
    costs: list[float], guess: float
) -> None:
    """`guess`: what a turn is thought to take, in what it takes."""
    rounds, took = Rounds(), dict.fromkeys(map(str, range(len(costs))), 0.0)
    thought = {seat: guess * costs[int(seat)] for seat in took}
    for seat in took:
        rounds.join(seat)
    for _ in range(4000):
        seat = rounds.take(thought)
        assert seat is not None
        rounds.settle(seat, thought[seat], costs[int(seat)])
        took[seat] += costs[int(seat)]
    # Nobody is ahead of anybody by more than a turn of each, and a quantum.
    assert max(took.values()) - min(took.values()) <= max(costs) + min(costs) + 2 * QUANTUM


@given(costs=COSTS)
@settings(max_examples=30, deadline=None)
def test_nobody_waits_longer_than_everybodys_longest_turns(costs: list[float]) -> None:
    """Between two turns of a seat no other one is served for longer than it takes to make good a turn."""
    rounds, since = Rounds(), dict.fromkeys(map(str, range(len(costs))), 0.0)
    for seat in since:
        rounds.join(seat)
    for _ in range(1500):
        seat = rounds.take(dict.fromkeys(since, 0.01))
        assert seat is not None
        cost = costs[int(seat)]
        rounds.settle(seat, 0.01, cost)
        for other in since:
            since[other] += cost
        since[seat] = 0.0
        assert max(since.values()) <= len(costs) * 2 * (max(costs) + QUANTUM) + 0.1


def test_who_comes_back_saved_nothing_up_and_still_owes() -> None:
    rounds = Rounds()
    for seat in ("here", "away"):
        rounds.join(seat)
    taken = rounds.take({"away": 0.1})
    assert taken == "away"
    rounds.settle("away", 0.1, 0.1)  # a debt of about 0.1 s
    for _ in range(3):
        assert rounds.take({"here": 0.01}) == "here"
        rounds.settle("here", 0.01, 0.01)
    served = []
    for _ in range(12):
        seat = rounds.take({"here": 0.01, "away": 0.01})
        assert seat is not None
        rounds.settle(seat, 0.01, 0.01)
        served.append(seat)
    assert served[:8] == ["here"] * 8
    assert "away" in served


def test_a_very_long_turn_is_charged_as_two() -> None:
    rounds = Rounds()
    for seat in ("a", "b"):
        rounds.join(seat)
    assert rounds.take({"a": 0.01}) == "a"
    rounds.settle("a", 0.01, 60.0)
    waited = 0
    while (seat := rounds.take({"a": 0.01, "b": 0.01})) != "a":
        assert seat == "b"
        rounds.settle("b", 0.01, 0.01)
        waited += 1
    assert 1 <= waited <= MOST_TIMES + 1


def test_who_left_is_settled_with_no_more() -> None:
    rounds = Rounds()
    rounds.join("a")
    assert rounds.take({"a": 0.01}) == "a"
    rounds.leave("a")
    rounds.settle("a", 0.01, 5.0)
    assert len(rounds) == 0
    assert rounds.take({}) is None


def test_costs_are_learnt_by_kind_and_forgotten_in_the_end() -> None:
    costs = Costs()
    assert (costs.of("a"), costs.known("a"), costs.measured) == (FIRST_GUESS, None, False)
    for _ in range(40):
        costs.learn("a", 0.2)
    costs.learn("b", 0.01)
    assert costs.of("a") == pytest.approx(0.2)
    assert costs.known("b") == 0.01
    assert costs.of("never met") == costs.mean
    for number in range(1000):
        costs.learn(number, 0.01)
    assert len(costs._seconds) <= 256
    assert costs.known("a") is None


def held(load: Load, seconds: float, start: float, length: float) -> float:
    """The round takes so long for so long; the time afterwards."""
    now = start
    while now < start + length:
        load.observe(seconds, now)
        now += 0.05
    return now


def test_a_moment_of_load_changes_nothing() -> None:
    load = Load()
    now = held(load, 2.0, 0.0, 0.4)
    assert load.level is Level.NORMAL
    now = held(load, 0.0, now, 0.1)
    held(load, 2.0, now, 0.4)
    assert load.level is Level.NORMAL


def test_the_level_rises_soon_falls_late_and_stays_between() -> None:
    load = Load()
    now = held(load, SMALLER_FROM * 1.1, 0.0, 0.7)
    assert load.level is Level.SMALLER
    now = held(load, SMALLER_FROM * 0.8, now, 30)  # under the threshold, but not by much
    assert load.level is Level.SMALLER
    now = held(load, SMALLER_FROM * 0.6, now, 2.5)
    assert load.level is Level.SMALLER
    now = held(load, SMALLER_FROM * 0.6, now, 1.0)
    assert load.level is Level.SLOWER
    now = held(load, SLOWER_FROM * 0.5, now, 3.5)
    assert load.level is Level.NORMAL


@pytest.mark.parametrize("seed", range(5))
def test_a_load_that_wavers_about_a_threshold_does_not_make_the_level_swing(seed: int) -> None:
    load, rng, changes, now = Load(), random.Random(seed), 0, 0.0
    for _ in range(2000):
        changes += load.observe(SLOWER_FROM * rng.uniform(0.75, 1.3), now)
        now += 0.05
    assert changes <= 1


def test_a_hand_rests_longer_on_a_full_device_but_never_for_long() -> None:
    load = Load()
    assert load.rest(0.12, 5.0) == 0.12
    held(load, SLOWER_FROM * 2, 0.0, 1.0)
    assert load.rest(0.12, 0.3) == 0.3
    assert load.rest(0.12, 0.01) == 0.12
    assert load.rest(0.12, 50.0) == 1.0
