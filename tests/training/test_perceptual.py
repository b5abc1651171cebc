"""The perceptual loss: torchvision's layers, the published weights, and what happens without a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from training import perceptual
from training.perceptual import Perceptual, PerceptualError, cached_weights, perceptual_network


@pytest.fixture(scope="module")
def vgg() -> torch.nn.Sequential:
    """torchvision's own layers, with weights from a seed."""
    torch.manual_seed(0)
    return make_layers(cfgs["E"], batch_norm=False)


@pytest.fixture(scope="module")
def file(vgg: torch.nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in torchvision's format: the layers behind the last one compared are in it too."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    state = {f"features.{name}": value for name, value in vgg.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


@torch.no_grad()
def test_the_loss_is_the_weighted_distance_of_torchvisions_features(
    vgg: torch.nn.Sequential, file: Path
) -> None:
    network = Perceptual.read(file)
    fake, real = torch.rand(1, 3, 32, 48) * 2 - 1, torch.rand(1, 3, 32, 48) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, y = (((p + 1) / 2 - mean[:, None, None]) / std[:, None, None] for p in (fake, real))
    expected, names = torch.zeros(()), {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1}
    for number, layer in enumerate(vgg):
        x, y = layer(x), layer(y)
        x, y = x.clone(), y.clone()  # torchvision's ReLUs write in place
        if number in names:
            assert isinstance(layer, torch.nn.ReLU)
            assert isinstance(vgg[number - 2], torch.nn.MaxPool2d) or number == 1, "the first of its stage"
            expected += names[number] * (x - y).abs().mean()
    assert expected > 1e-3
    torch.testing.assert_close(network(fake, real), expected, rtol=1e-5, atol=0)
    assert network(real, real) == 0


def test_the_gradient_reaches_the_picture_and_not_the_network(file: Path) -> None:
    network = Perceptual.read(file)
    fake, real = torch.rand(1, 3, 32, 32, requires_grad=True), torch.rand(1, 3, 32, 32, requires_grad=True)
    network(fake, real).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())


def test_without_a_file_it_is_said_once_and_there_is_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    said: list[str] = []
    assert perceptual_network("", download=False, say=said.append) is None
    (line,) = said
    assert str(tmp_path / "hub" / "checkpoints" / "vgg19-") in line
    assert "vgg_download=true" in line


def test_torchvisions_place_is_looked_at(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached_weights().parent.mkdir(parents=True)
    cached_weights().symlink_to(file)
    said: list[str] = []
    assert isinstance(perceptual_network("", download=False, say=said.append), Perceptual)
    assert not said


def test_only_the_recipes_word_fetches(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Published:
        url = perceptual._PUBLISHED.url

        def get_state_dict(self, *, progress: bool, check_hash: bool) -> None:
            assert check_hash
            fetched.append(cached_weights())
            cached_weights().parent.mkdir(parents=True)
            cached_weights().symlink_to(file)

    fetched: list[Path] = []
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(perceptual, "_PUBLISHED", Published())
    assert perceptual_network("", download=False, say=lambda _: None) is None
    assert not fetched
    assert perceptual_network("", download=True, say=lambda _: None) is not None
    assert len(fetched) == 1


@pytest.mark.parametrize("error", [RuntimeError("invalid hash value"), OSError("no route to host")])
def test_what_cannot_be_fetched_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Published:
        url = perceptual._PUBLISHED.url

        def get_state_dict(self, **_: object) -> None:
            raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(perceptual, "_PUBLISHED", Published())
    with pytest.raises(PerceptualError, match=rf"could not be fetched \({error}\).*vgg_file"):
        perceptual_network("", download=True, say=lambda _: None)


def test_files_that_will_not_do_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pth"
    with pytest.raises(PerceptualError, match=r"missing\.pth: there is no such file.*vgg_file"):
        perceptual_network(str(missing), download=True, say=lambda _: None)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(PerceptualError, match=r"text\.pth: not readable"):
        Perceptual.read(tmp_path / "text.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "half.pth")
    with pytest.raises(PerceptualError, match=r"half\.pth: no tensor 'features\.0\.bias'"):
        Perceptual.read(tmp_path / "half.pth")


def test_the_layers_are_those_before_the_pools() -> None:
    network = Perceptual()
    sizes = [tuple(found.shape[1:]) for found in network.features(torch.zeros(1, 3, 32, 32))]
    assert sizes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]
    assert network.features(torch.zeros(1, 3, 16, 16))[-1].shape == (1, 512, 1, 1)
