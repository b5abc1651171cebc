"""Who counts as one client, and how much one client may ask for."""

import pytest

from server.clients import CLIENT, client_of
from server.guard.limits import Limiter, OverLimitError


def limiter(
    rate: float = 10, burst: int = 5, working: int = 2, sockets: int = 2, most_clients: int = 100
) -> Limiter:
    return Limiter(rate, burst, working, sockets, most_clients)


def taken(limits: Limiter, client: str, now: float) -> int:
    """How many requests at once go through."""
    count = 0
    while count < 1000:
        try:
            limits.take(client, now)
        except OverLimitError:
            return count
        count += 1
    return count


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "address:2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("somewhere", "address:unknown"),
    ],
)
def test_an_address_is_a_client(peer: str, client: str) -> None:
    assert client_of({"type": "http", "client": (peer, 1)}) == client


def test_the_gates_word_wins() -> None:
    assert client_of({"client": ("192.0.2.7", 1), CLIENT: "token:ab"}) == "token:ab"
    assert client_of({"client": None}) == "address:local"


def test_a_burst_and_then_the_rate() -> None:
    limits = limiter()
    assert taken(limits, "a", 0) == 5
    assert taken(limits, "a", 0.05) == 0
    assert taken(limits, "a", 0.2) == 2
    assert taken(limits, "a", 100) == 5
    with pytest.raises(OverLimitError) as over:
        limits.take("a", 100)
    assert (over.value.which, over.value.retry_after) == ("rate", pytest.approx(0.1))


def test_clients_are_counted_apart() -> None:
    limits = limiter()
    taken(limits, "a", 0)
    assert taken(limits, "b", 0) == 5


def test_no_rate_is_no_limit() -> None:
    limits = limiter(rate=0, working=0, sockets=0)
    assert taken(limits, "a", 0) == 1000
    assert len(limits) == 0
    with limits.working("a"), limits.working("a"), limits.working("a"), limits.socket("a"):
        pass


def test_many_addresses_neither_grow_it_nor_reset_a_count() -> None:
    limits = limiter(most_clients=10)
    assert taken(limits, "victim", 0) == 5
    for number in range(1000):
        taken(limits, f"attacker {number}", 0.01)
    assert len(limits) == 10
    assert taken(limits, "victim", 0.02) == 0
    # Who comes while all are busy shares one bucket, which is empty now.
    assert taken(limits, "newcomer", 0.02) == 0
    # Once it is quiet again, everybody has a bucket of their own.
    assert taken(limits, "newcomer", 10) == 5
    assert len(limits) == 1


def test_work_and_sockets_are_counted_while_they_last() -> None:
    limits = limiter()
    for count, which in ((limits.working, "working"), (limits.socket, "sockets")):
        with count("a"), count("a"):
            with pytest.raises(OverLimitError) as over, count("a"):
                raise AssertionError("let in")
            assert over.value.which == which
            with count("b"):
                pass
        with count("a"):
            pass


def test_nothing_is_kept_of_work_that_is_done() -> None:
    limits = limiter()
    for number in range(10):
        with pytest.raises(RuntimeError), limits.working(f"client {number}"):
            raise RuntimeError
    assert not limits._working
