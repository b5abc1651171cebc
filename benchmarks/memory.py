"""Peak memory of one model in a process of its own: `python -m benchmarks.memory coco-spade engine`.

Prints {"weights_mb": …, "peak_mb": …, "settled_mb": …}: of the generator's parameters in fp32, and of the
process's resident memory, at most and after two frames.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import torch

from benchmarks import maps
from benchmarks.public_models import Plain, ade_oasis, coco_spade
from benchmarks.subjects import MemoryLibrary, painter_of
from models.checkpoint import LoadedModel, load


def resident() -> dict[str, float]:
    """MiB of resident memory, now and at most, as Linux counts them; empty elsewhere."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return {}
    found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", text, re.MULTILINE))
    return {"peak_mb": int(found["VmHWM"]) / 1024, "settled_mb": int(found["VmRSS"]) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("model", choices=["coco-spade", "ade-oasis", "builtin"])
    parser.add_argument("how", choices=["engine", "plain"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    library = MemoryLibrary(arguments.device, "auto")
    make = {"coco-spade": coco_spade, "ade-oasis": ade_oasis}.get(arguments.model)
    loaded: LoadedModel | None = make(arguments.width) if make else load(library.path())
    spec = loaded.spec
    weights = sum(value.nbytes for value in loaded.generator.parameters()) / 2**20
    labels = maps.regions(arguments.size, 12, spec.labels)
    if arguments.how == "plain":
        plain = Plain(loaded.generator, library.torch_device, torch.float32, channels_last=False)
        loaded = None
        paint = plain.painting(torch.from_numpy(labels), torch.zeros(spec.style_dim))
        paint(), paint()
    else:
        if make:
            library.add(loaded)
        loaded = None
        painter_of(library, spec.id, labels).render()
    print(json.dumps({"weights_mb": weights, **resident()}))


if __name__ == "__main__":
    main()
