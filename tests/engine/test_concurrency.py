"""Several threads, each with painters of its own: everyone gets the picture that is due."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine import Library
from tests.engine.painting import blocky, noise
from tests.tiny import write_tiny_model

CLASSES = 17
THREADS = 5


@pytest.fixture(params=["fp32", "bf16"])
def crowded(tmp_path: Path, request: pytest.FixtureRequest) -> Library:
    """Two models under a budget that is always too small."""
    for seed, name in enumerate(["first", "second"]):
        write_tiny_model(tmp_path, name, seed)
    return Library([tmp_path], device="cpu", precision=request.param, cache_mb=0)


def all_at_once(*tasks: Callable[[], None]) -> None:
    """Each in a thread of its own, from one moment on; errors come out."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], None]) -> None:
        gate.wait(timeout=30)
        task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(run, task) for task in tasks]:
            done.result(timeout=120)


def expected(crowded: Library, number: int, step: int) -> np.ndarray:
    """The picture of one thread's step, painted alone."""
    model = ["first", "second"][number % 2]
    library = Library([crowded.path(model).parent], device="cpu", precision=crowded.precision)
    painter = library.painter(model, 48, 40)
    painter.set_style(number)
    painter.set_map(steps(number)[step])
    return painter.render()


def steps(number: int) -> list[np.ndarray]:
    maps = [
        blocky(40, 48, CLASSES, number),
        noise(40, 48, CLASSES, number),
        np.full((40, 48), number, np.uint8),
    ]
    return maps[number % 3 :] + maps[: number % 3]


def test_threads_with_painters_of_their_own(crowded: Library) -> None:
    truth = {(n, step): expected(crowded, n, step) for n in range(THREADS) for step in range(3)}

    def paint(number: int) -> None:
        painter = crowded.painter(["first", "second"][number % 2], 48, 40)
        painter.set_style(number)
        for turn in range(9):
            painter.set_map(steps(number)[turn % 3])
            if turn % 2:
                painter.render("live")
            assert np.array_equal(painter.render(), truth[number, turn % 3])

    all_at_once(*(lambda n=n: paint(n) for n in range(THREADS)))  # type: ignore[misc]


def test_batches_beside_single_pictures(crowded: Library) -> None:
    truth = {(n, step): expected(crowded, n, step) for n in range(THREADS) for step in range(3)}

    def paint_together() -> None:
        painters = [crowded.painter(["first", "second"][n % 2], 48, 40) for n in range(THREADS)]
        for turn in range(6):
            for n, painter in enumerate(painters):
                painter.set_style(n)
                painter.set_map(steps(n)[turn % 3])
            for n, picture in enumerate(crowded.render_many(painters)):
                assert np.array_equal(picture, truth[n, turn % 3])

    all_at_once(paint_together, paint_together, paint_together)


def test_a_model_is_loaded_once(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "only")
    library = Library([tmp_path], device="cpu")
    found = []
    all_at_once(*[lambda: found.append(library.painter(None, 8, 8)._model)] * 6)
    assert len(found) == 6
    assert len({id(model) for model in found}) == 1


def test_every_picture_of_a_batch_is_what_it_is_alone(library: Library) -> None:
    """`render_many`: sizes, models, seeds and paths mixed; bit for bit."""
    sizes = [(32, 32), (32, 32), (30, 31), (32, 32), (64, 32), (32, 32)]
    painters = []
    for number, (height, width) in enumerate(sizes):
        painter = library.painter("second" if number == 3 else "first", width, height)
        painter.set_style(number // 2)
        painter.set_map((noise if number == 5 else blocky)(height, width, CLASSES, number))
        painters.append(painter)
    alone = [painter.render() for painter in painters]
    for order in (range(6), range(5, -1, -1), (0,), (2, 0, 5)):
        pictures = library.render_many([painters[i] for i in order])
        assert all(np.array_equal(picture, alone[i]) for i, picture in zip(order, pictures, strict=True))
    assert library.render_many([]) == []
    assert np.array_equal(library.render_many([painters[0]] * 2)[1], alone[0])
    assert len({painter.batch_key for painter in painters}) == 3
