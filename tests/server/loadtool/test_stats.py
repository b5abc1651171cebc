"""What a run comes down to, by hand-made numbers."""

from collections import Counter

import pytest

from server.loadtool.errors import LoadError
from server.loadtool.page import Journal
from server.loadtool.rest import RestJournal
from server.loadtool.results import demands_of, stage_result
from server.loadtool.stats import Sample, jain, memory, percentiles, slope_per_hour


def test_percentiles() -> None:
    found = percentiles([i / 100 for i in range(101)])
    assert (found.count, found.longest) == (101, 1.0)
    assert (found.p50, found.p95, found.p99) == pytest.approx((0.5, 0.95, 0.99))
    assert percentiles([]).p50 is None


def test_jains_index() -> None:
    assert jain([3, 3, 3, 3]) == pytest.approx(1)
    assert jain([5, 0, 0, 0]) == pytest.approx(1 / 4)
    assert jain([1, 2, 3]) == pytest.approx(36 / (3 * 14))
    assert jain([0, 0]) is None


def test_a_slope_is_that_of_the_best_line() -> None:
    assert slope_per_hour([0, 3600, 7200], [10, 12, 14]) == pytest.approx(2)
    assert slope_per_hour([0, 3600, 7200, 10800], [1, 0, 1, 0]) == pytest.approx(-0.2)
    assert slope_per_hour([0, 1], [1, 2]) is None
    assert slope_per_hour([5, 5, 5], [1, 2, 3]) is None


def test_memory_after_the_first_tenth_decides_the_slope() -> None:
    steep = [Sample(time, 100 + 50 * time, 0.5 * time) for time in range(10)]
    flat = [Sample(10 + 10 * time, 600, 5 + 5 * time) for time in range(10)]
    found = memory([*steep, *flat])
    assert found is not None
    assert (found.start, found.warm, found.end, found.largest) == (100, 600, 600, 600)
    assert found.slope == pytest.approx(0)
    assert found.cpu == pytest.approx(0.5)
    assert memory([]) is None


def journal(frames: int, latency: float, **more: int) -> Journal:
    return Journal(
        frames=frames, device=frames / 10, latencies=[latency] * frames, longest_wait=latency, **more
    )


def test_a_stage_puts_its_painters_together() -> None:
    one, other = journal(10, 0.1, reconnects=1), journal(30, 0.3, resyncs=2)
    one.errors, other.errors = Counter({"closed 1006": 2}), Counter({"closed 1006": 1, "hung up": 1})
    found = stage_result([one, other], 10, rest=(2, RestJournal([0.5], Counter({"http 503": 3}))))
    assert found.frames_per_s == pytest.approx(4)
    assert [each.frames_per_s for each in found.each] == [1, 3]
    assert found.fairness == found.device_fairness == pytest.approx(40**2 / (2 * 1000))
    assert found.errors == {"closed 1006": 3, "hung up": 1}
    assert (found.longest_wait_s, found.reconnects, found.resyncs, found.fewest_frames) == (0.3, 1, 2, 10)
    assert found.stroke_to_frame.p50 == pytest.approx(0.3)
    assert found.rest is not None
    assert found.rest.refusals == {"http 503": 3}
    assert found.as_json()["each"][1]["stroke_to_frame"]["p99"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("demand", "met"),
    [
        ("errors=0", True),
        ("jain>=0.75", True),
        ("jain>=0.9", False),
        ("every=frames", True),
        ("p95<0.2, fps>3", False),
        ("wait <= 0.3", True),
        ("rss_slope<=5", False),  # nothing was measured
    ],
)
def test_demands(demand: str, met: bool) -> None:
    stage = stage_result([journal(10, 0.1), journal(30, 0.3)], 10)
    assert all(one.failure(stage) is None for one in demands_of(demand)) is met


def test_every_painter_must_see_a_frame() -> None:
    (demand,) = demands_of("every=frames")
    assert "it was 0" in (demand.failure(stage_result([journal(9, 0.1), Journal()], 10)) or "")


@pytest.mark.parametrize("demand", ["speed>3", "jain=", "jain>=much", "jain", "every=pictures"])
def test_demands_that_nobody_understands(demand: str) -> None:
    with pytest.raises(LoadError, match="demand"):
        demands_of(demand)
