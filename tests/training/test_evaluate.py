"""Scores of confusion matrices, and the commands that print and draw."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.labels import load_label_set
from models.segmenter import UNet
from tests.tiny import write_tiny_model
from training import evaluate, sheet
from training.recipe import Recipe


def test_scores_of_a_known_matrix() -> None:
    labels = load_label_set("landscape17")
    truth = np.array([[1, 1, 1, 1, 8, 8, 8, 8, 0, 0]])
    found = np.array([[1, 1, 1, 8, 8, 8, 8, 8, 8, 1]])
    scores = evaluate.reading(evaluate.confusion(truth, found, 17), labels)
    assert scores.by_class == {"sky": 0.75, "grass": 0.8}, "what stands on unlabelled pixels does not count"
    assert scores.miou == pytest.approx(0.775)
    assert scores.accuracy == pytest.approx(7 / 8)
    assert "sea" in scores.left_out
    assert "unlabeled" not in scores.left_out


def test_the_commands_print_and_draw(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_model(tmp_path)
    judge = tmp_path / "segmenter.pt"
    torch.save(UNet(17, (4, 8)).state_dict(), judge)
    (tmp_path / "recipe.json").write_text(json.dumps(Recipe(segmenter_widths=(4, 8)).to_json()))
    command = ["evaluate", str(model), str(judge), str(source), "--split", "test", "--limit", "2"]
    monkeypatch.setattr(sys, "argv", command)
    evaluate.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["pictures"] == 2
    assert 0 <= printed["generated"]["miou"] <= 1
    assert 0 <= printed["real"]["accuracy"] <= 1

    out = tmp_path / "sheet.png"
    monkeypatch.setattr(
        sys, "argv", ["sheet", str(model), str(source), str(out), "--count", "3", "--across", "2"]
    )
    sheet.main()
    with Image.open(out) as picture:
        assert picture.size == (2 * 5 * 256, 2 * 256)
