"""Where work goes: pinned painters, the least busy replica, the model that is loaded."""

from collections import Counter

from server.cluster.placing import SPARE, Candidate, Route, place, weight

THREE = [Candidate("a"), Candidate("b"), Candidate("c")]
PAINTERS = [f"painter {number}" for number in range(300)]


def home(candidates: list[Candidate], route: Route) -> str:
    chosen = place(candidates, route)
    assert chosen is not None
    return chosen.id


def test_nobody_there() -> None:
    assert place([], Route("p")) is None


def test_painters_spread_evenly_and_every_ingress_decides_alike() -> None:
    homes = {painter: home(THREE, Route(painter)) for painter in PAINTERS}
    assert min(Counter(homes.values()).values()) > 60
    assert homes == {painter: home(THREE[::-1], Route(painter, ingress="other")) for painter in PAINTERS}


def test_a_replica_less_moves_only_its_own_painters() -> None:
    for painter in PAINTERS:
        before, after = home(THREE, Route(painter)), home(THREE[1:], Route(painter))
        assert before in (after, "a")


def test_a_painter_stays_where_it_is() -> None:
    for painter in PAINTERS:
        for one in THREE:
            assert home(THREE, Route(painter, home=one.id)) == one.id


def test_a_painter_whose_replica_is_gone_is_placed_anew() -> None:
    assert home(THREE, Route("p", home="gone")) == max("abc", key=lambda one: weight("p", one))


def test_a_painter_leaves_a_replica_that_is_much_busier_than_the_one_it_prefers() -> None:
    painter = next(painter for painter in PAINTERS if home(THREE, Route(painter)) == "b")
    assert home([Candidate("a", ongoing=SPARE), Candidate("b")], Route(painter, home="a")) == "a"
    busy = [Candidate("a", ongoing=SPARE + 1), Candidate("b")]
    assert home(busy, Route(painter, home="a")) == "b"
    assert home(busy, Route(painter, home="a", stay=True)) == "a"


def test_other_work_goes_to_the_least_busy() -> None:
    busy = [Candidate("a", ongoing=2), Candidate("b", ongoing=1), Candidate("c", ongoing=3)]
    assert home(busy, Route()) == "b"


def test_replicas_that_have_the_model_come_first_until_they_are_much_busier() -> None:
    for route in (Route(model="m"), Route("p", model="m"), Route("q", model="m")):
        assert home([Candidate("a", []), Candidate("b", ["m"], ongoing=SPARE)], route) == "b"
    assert home([Candidate("a", []), Candidate("b", ["m"], ongoing=SPARE + 1)], Route(model="m")) == "a"
    assert home([Candidate("a", []), Candidate("b", ["other"])], Route(model="m")) == "a"
    assert home([Candidate("a"), Candidate("b", ["m"], ongoing=1)], Route(model="m")) == "a"  # not known yet
