"""docs/api.md lists every code that a problem can have, and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_problem_code_is_documented() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
    made = set(re.findall(r'(?:Problem|_problem)\(\s*(?:\d+,\s*)?"([a-z-]+)"', source))
    made |= set(re.findall(r'^    \d+: \(\s*"([a-z-]+)"', source, re.M))
    assert {"busy", "unknown-label", "not-found", "animated"} <= made  # the search finds what it should
    document = (ROOT / "docs" / "api.md").read_text()
    listed = document[document.index("| status |") :]
    assert (
        set(re.findall(r"`([a-z]+(?:-[a-z]+)+|busy|internal|animated|transparent|malformed)`", listed))
        == made
    )
