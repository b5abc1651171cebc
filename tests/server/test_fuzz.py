"""A bounded run of the fuzzer in the suite; `python -m tests.server.fuzz` is the whole one."""

import pytest

from tests.server.fuzz import fuzz


# The real engine shows what it refuses, and keeps a kernel for each of the first 1024 shapes (oneDNN); the
# fake one keeps nothing, so it shows what the server itself keeps.
@pytest.mark.slow
@pytest.mark.parametrize(("model", "most_growth_mib"), [("tiny", 100), ("fake", 20)])
def test_a_thousand_hostile_inputs_leave_no_trace(model: str, most_growth_mib: float) -> None:
    report = fuzz(bodies=700, frames=500, model=model)
    assert report.faults == []
    assert sum(report.bodies.values()) == 700
    assert report.frames["sent"] == 500
    assert report.bodies["200"] > 20, report.bodies  # valid ones were among them
    assert report.bodies["422"] > 20, report.bodies
    assert report.bodies["hung up"] > 20, report.bodies
    assert report.frames["pictures"] > 20, report.frames
    assert report.frames["closed 4400"] > 20, report.frames
    assert report.growth_mib <= most_growth_mib
    assert report.files[1] <= report.files[0]
    assert report.sessions == report.documents == (0, 0)
