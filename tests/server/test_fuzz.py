"""A bounded run of the fuzzer in the suite; `python -m tests.server.fuzz` is the whole one."""

import pytest

from tests.server.fuzz import fuzz


@pytest.mark.slow
def test_a_thousand_hostile_inputs_leave_no_trace() -> None:
    report = fuzz(bodies=700, frames=500, fake=True)
    assert report.faults == []
    assert sum(report.bodies.values()) == 700
    assert report.frames["sent"] == 500
    assert report.bodies["200"] > 20, report.bodies  # valid ones were among them
    assert report.bodies["422"] > 20, report.bodies
    assert report.frames["pictures"] > 20, report.frames
    assert report.frames["closed 4400"] > 20, report.frames
    assert report.growth_mib <= 20
    assert report.files[1] <= report.files[0]
    assert report.sessions == report.documents == (0, 0)
