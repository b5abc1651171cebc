"""`make bench`: frame time of the built-in model, and stroke-to-frame latency over a socket on loopback.

Prints a table and writes benchmarks/results/bench.json: {"machine": …, "frame": [rows], "stroke": [rows]}.
`make bench-engine`, `make bench-training` and `make bench-seams` are the words `engine`, `training` and
`seams` behind it, see there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import engine, frame, seams, stroke, training
from benchmarks.serving import server
from engine import Library
from engine.device import cpu_flags

RESULTS = Path(__file__).parent / "results"
SIZES = (256, 512)
MOST_FRAMES = 3  # from stroke to photo, 95th percentile, in bare frames


def machine(library: Library) -> dict[str, object]:
    """What the figures were measured on."""
    flags = sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni"})
    return {
        "device": library.device_name,
        "precision": library.precision,
        "cores": os.cpu_count(),
        "flags": flags,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "model": library.default_id,
    }


def show(console: Console, document: dict[str, list[dict[str, float]]]) -> None:
    frames = Table("size", "engine", "engine p95", "frames/s", "plain fp32", "ratio", title="bare frame")
    for row in document["frame"]:
        times = [f"{row[key] * 1e3:.1f} ms" for key in ("engine_s", "engine_p95_s", "plain_s")]
        rate, ratio = f"{1 / row['engine_s']:.1f}", f"{row['ratio']:.2f}×"
        frames.add_row(f"{row['size']}²", times[0], times[1], rate, times[2], ratio)
    strokes = Table(
        "size", "dabs", "p50", "p95", "frames/s", "p95 ÷ frame", title="stroke to frame, loopback socket"
    )
    for row, bare in zip(document["stroke"], document["frame"], strict=True):
        times = [f"{row[key] * 1e3:.1f} ms" for key in ("p50_s", "p95_s")]
        frames_late = row["p95_s"] / bare["engine_s"]
        ratio = f"{frames_late:.2f} (≤ {MOST_FRAMES}: {'yes' if frames_late <= MOST_FRAMES else 'NO'})"
        strokes.add_row(f"{row['size']}²", str(row["dabs"]), *times, f"{row['frames_per_s']:.1f}", ratio)
    console.print(frames, strokes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each stroke is drawn")
    parser.set_defaults(run=measure)
    commands = parser.add_subparsers(metavar="[engine | training | seams]")
    engine_parser = commands.add_parser("engine", description=engine.__doc__)
    engine.add_arguments(engine_parser)
    engine_parser.set_defaults(run=engine.run)
    training_parser = commands.add_parser("training", description=training.__doc__)
    training.add_arguments(training_parser)
    training_parser.set_defaults(run=training.run)
    seams_parser = commands.add_parser("seams", description=seams.__doc__)
    seams.add_arguments(seams_parser)
    seams_parser.set_defaults(run=seams.run)
    arguments = parser.parse_args()
    arguments.run(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Frames and strokes."""
    library = Library.builtin()
    console = Console()
    document: dict[str, list[dict[str, float]]] = {"frame": frame.measure(library, SIZES)}
    with server() as url:
        hash_of_labels = library.spec().labels.hash
        document["stroke"] = [
            asdict(stroke.measure(url, size, hash_of_labels, arguments.seconds)) for size in SIZES
        ]
    show(console, document)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "bench.json"
    path.write_text(json.dumps({"machine": machine(library), **document}, indent=1))
    console.print(f"{machine(library)}\nwritten to {path}")


if __name__ == "__main__":
    main()
