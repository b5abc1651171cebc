"""The N+1-class segmentation discriminator (Schönfeld et al. 2021, "You Only Need Adversarial Supervision…",
sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from models.segmenter import UNet

FAKE = 0  # channel 0 means "generated"; class id k stands in channel k + 1


class SegmentationDiscriminator(UNet):
    """A U-Net under spectral norm that names, per pixel, the class of a real picture or says "generated".

    Args:
        label_channels: N, channels of the one-hot map; the output has N + 1.
        widths: channels of the stages going down.
    """

    def __init__(self, label_channels: int, widths: Sequence[int]) -> None:
        def wrap(convolution: nn.Conv2d) -> nn.Module:
            return spectral_norm(convolution)

        super().__init__(label_channels + 1, widths, wrap=wrap, normalise=False)
