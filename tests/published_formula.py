"""The published generators written out once more, plainly, from a file's raw tensors: what `models` and
`engine` are held against. Nothing of the project is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 – its usual name
from torch import Tensor

State = Mapping[str, Tensor]

SPADE_ORDER = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
STRIDE = {"normal": 32, "more": 64, "most": 128}


def spade_picture(
    state: State,
    labels: Tensor,
    *,
    channels: int,
    upsampling: str = "normal",
    edges: Tensor | None = None,
    z: Tensor | None = None,
) -> Tensor:
    """labels (B, H, W), edges (B, H, W) for models with that channel, z (B, D) with a VAE → (B, 3, H, W)."""
    onehot = F.one_hot(labels.long(), channels).permute(0, 3, 1, 2).float()
    condition = onehot if edges is None else torch.cat([onehot, edges[:, None].float()], 1)
    h, w = labels.shape[1] // STRIDE[upsampling], labels.shape[2] // STRIDE[upsampling]
    if z is None:
        start = F.interpolate(condition, (h, w), mode="nearest")
        x = F.conv2d(start, state["fc.weight"], state["fc.bias"], padding=1)
    else:
        x = F.linear(z, state["fc.weight"], state["fc.bias"]).reshape(len(z), -1, h, w)
    for name in SPADE_ORDER:
        if name == "up_4" and upsampling != "most":
            continue
        if name not in {"head_0", "G_middle_1"} or (name == "G_middle_1" and upsampling != "normal"):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = block(state, name, "param_free_norm", x, condition)
    return last(state, x)


def oasis_picture(state: State, labels: Tensor, z: Tensor, *, channels: int) -> Tensor:
    """labels (B, H, W), z (B, D) or (B, D, H, W) → (B, 3, H, W)."""
    onehot = F.one_hot(labels.long(), channels).permute(0, 3, 1, 2).float()
    z = z if z.ndim == 4 else z[:, :, None, None].expand(-1, -1, *labels.shape[1:])
    condition = torch.cat([z, onehot], 1)
    start = F.interpolate(condition, (labels.shape[1] // 32, labels.shape[2] // 32), mode="nearest")
    x = F.conv2d(start, state["fc.weight"], state["fc.bias"], padding=1)
    for number in range(6):
        x = block(state, f"body.{number}", "first_norm", x, condition)
        if number < 5:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return last(state, x)


def block(state: State, name: str, free: str, x: Tensor, condition: Tensor) -> Tensor:
    def norm(part: str, y: Tensor) -> Tensor:
        return spade(state, f"{name}.{part}", free, y, condition)

    shortcut = x
    if f"{name}.norm_s.mlp_shared.0.weight" in state:
        shortcut = F.conv2d(norm("norm_s", x), weight(state, f"{name}.conv_s"))
    for part in "01":
        bias = state[f"{name}.conv_{part}.bias"]
        activated = F.leaky_relu(norm(f"norm_{part}", x), 0.2)
        x = F.conv2d(activated, weight(state, f"{name}.conv_{part}"), bias, padding=1)
    return shortcut + x


def spade(state: State, name: str, free: str, x: Tensor, condition: Tensor) -> Tensor:
    if f"{name}.{free}.running_mean" in state:
        mean, variance = (state[f"{name}.{free}.running_{part}"][:, None, None] for part in ("mean", "var"))
    else:
        mean = x.mean((2, 3), keepdim=True)
        variance = x.var((2, 3), correction=0, keepdim=True)

    def convolution(part: str, y: Tensor) -> Tensor:
        kernel = state[f"{name}.{part}.weight"]
        return F.conv2d(y, kernel, state[f"{name}.{part}.bias"], padding=kernel.shape[-1] // 2)

    hidden = F.relu(convolution("mlp_shared.0", F.interpolate(condition, x.shape[2:], mode="nearest")))
    normalised = (x - mean) / torch.sqrt(variance + 1e-5)
    return normalised * (1 + convolution("mlp_gamma", hidden)) + convolution("mlp_beta", hidden)


def weight(state: State, name: str) -> Tensor:
    """A convolution's weight, divided by its spectral norm where the file has one."""
    if f"{name}.weight" in state:
        return state[f"{name}.weight"]
    original, u, v = (state[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
    return original / torch.dot(u, torch.mv(original.reshape(len(original), -1), v))


def last(state: State, x: Tensor) -> Tensor:
    x = F.conv2d(F.leaky_relu(x, 0.2), state["conv_img.weight"], state["conv_img.bias"], padding=1)
    return torch.tanh(x)


def style(state: State, photo: Tensor) -> tuple[Tensor, Tensor]:
    """The VAE's encoder: photo (B, 3, H, W) → mean and log variance (B, D)."""
    x = F.interpolate(photo, (256, 256), mode="bilinear", align_corners=False)
    for level in range(1, 7):
        x = F.conv2d(x, weight(state, f"layer{level}.0"), stride=2, padding=1)
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        x = F.leaky_relu((x - mean) / torch.sqrt(variance + 1e-5), 0.2)
    x = x.reshape(len(x), -1)
    mean, variance = (
        F.linear(x, state[f"{part}.weight"], state[f"{part}.bias"]) for part in ("fc_mu", "fc_var")
    )
    return mean, variance
