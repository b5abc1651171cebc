"""What a processor says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import device
from engine.native import build

X86 = """processor\t: 0
model name\t: some CPU
flags\t\t: fpu sse2 avx512_bf16
bugs\t\t: spectre_v1
"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd bf16
CPU part\t: 0xd0b
"""


@pytest.mark.parametrize(
    ("info", "flags", "parts"),
    [
        (X86, {"fpu", "sse2", "avx512_bf16"}, set()),
        (ARM, {"fp", "asimd", "bf16"}, {"0xd05", "0xd0b"}),
        ("", set(), set()),
        (None, set(), set()),
    ],
)
def test_features_and_designs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str | None, flags: set[str], parts: set[str]
) -> None:
    file = tmp_path / "cpuinfo"
    if info is not None:
        file.write_text(info)
    monkeypatch.setattr(device, "_CPU_INFO", file)
    assert device.cpu_flags() == flags
    assert device.cpu_parts() == parts


def test_kernels_are_kept_apart_by_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder may be shared by machines of several kinds."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(device, "_CPU_INFO", file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "_compile", lambda _, file, __: file.touch())
    monkeypatch.setattr(build, "find_compiler", lambda: "true")
    kinds = [X86, X86.replace("sse2", "sse3"), ARM, ARM.replace("0xd05", "0xd41"), ARM.replace("bf16", "sve")]
    names = set[Path]()
    for info in kinds:
        file.write_text(info)
        names.add(build.built("true"))
    assert len(names) == len(kinds)
