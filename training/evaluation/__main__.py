"""`python -m training.evaluation`: the same as `scenebrush evaluate`, without the server's command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from engine import EngineError
from models.checkpoint import CheckpointError
from training.data import DataError
from training.evaluation.command import Request, evaluate
from training.evaluation.gathering import EvaluationError
from training.evaluation.inception import InceptionError


def parser() -> argparse.ArgumentParser:
    """Names, defaults and help are those of `scenebrush evaluate`; a test holds them together."""
    made = argparse.ArgumentParser(prog="python -m training.evaluation", description="Evaluate models.")
    made.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model files (.safetensors)")
    made.add_argument("data", type=Path, help="folder of images/ and labels/, or of .tar shards")
    made.add_argument("--judge", type=Path, required=True, help="segmenter that reads the pictures")
    made.add_argument("--out", "-o", type=Path, default=Path("evaluation"), help="folder for the results")
    made.add_argument("--split", choices=["train", "validation", "test"], default="validation")
    made.add_argument("--limit", type=int, help="only the first so many pictures")
    made.add_argument("--layout", default="auto", help="of the source's files, see docs/data.md")
    made.add_argument("--training", action=argparse.BooleanOptionalAction, default=True)
    made.add_argument("--painted", type=int, default=0, help="crude maps to paint as well")
    made.add_argument("--maps", type=int, default=10, help="maps painted with several seeds")
    made.add_argument("--seeds", type=int, default=10, help="seeds for each of them")
    made.add_argument("--resamples", type=int, default=1_000, help="of the bootstrap")
    made.add_argument("--shown", type=int, default=24, help="pictures in the report")
    made.add_argument("--inception", help="the published Inception weights: a file, or 'download'")
    made.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    made.add_argument("--device", default="auto")
    made.add_argument("--precision", default="auto")
    made.add_argument("--plain", action="store_true", help="paint with plain networks: slow, fp32")
    made.add_argument("--threads", type=int)
    return made


def main() -> int:
    given = vars(parser().parse_args())
    out, in_markdown = given.pop("out"), given.pop("markdown")
    try:
        evaluate(Request(**given), out, Console(), in_markdown)
    except (CheckpointError, DataError, EngineError, EvaluationError, InceptionError, OSError) as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
