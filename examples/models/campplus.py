"""CAM++, a speaker embedding, implemented from its paper and exported as ONNX for pyannote.

The modules have the names of the published weights, so that their state dict loads unchanged. Only
tensors are read from the weights, and the exported graph is checked against torch.

Source: Wang, Zheng, Chen, Cheng, Chen: "CAM++: A Fast and Efficient Network for Speaker
Verification Using Context-Aware Masking", arXiv 2303.00332.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Final
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional

BANDS: Final = 80
DIMENSION: Final = 192
_SEGMENT: Final = 100
"""Frames of a mask's local context: 2 s, because the first layer halves the frame rate."""
_BLOCKS: Final = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each block of the backbone."""
_GROWTH: Final = 32
_TOLERANCE: Final = 1e-3


class Residual(nn.Module):
    """Two convolutions of the head with a shortcut: (batch, 32, bands, frames)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(32, 32, 1, (stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(32))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; a stride of 2 halves the bands."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class Head(nn.Module):
    """The front of 2-D convolutions (FCM): (batch, 80, frames) to (batch, 320, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(Residual(2), Residual(1))
        self.layer2 = nn.Sequential(Residual(2), Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, x: Tensor) -> Tensor:
        """32 channels of an eighth of the bands, one after the other."""
        x = functional.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        x = functional.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.flatten(1, 2)


class MaskedConvolution(nn.Module):
    """A convolution times a mask made of the context, near and whole: (batch, channels, frames)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            channels, _GROWTH, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, _GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """32 channels of as many frames."""
        context = x.mean(-1, keepdim=True) + _segment_means(x)
        mask = self.linear2(functional.relu(self.linear1(context))).sigmoid()
        masked: Tensor = self.linear_local(x) * mask
        return masked


def _segment_means(x: Tensor) -> Tensor:
    """The mean of each segment, repeated for each of its frames; the last may be shorter."""
    means = functional.avg_pool1d(x, _SEGMENT, _SEGMENT, ceil_mode=True)
    spread = means.unsqueeze(-1).expand(-1, -1, -1, _SEGMENT).flatten(2)
    return spread[..., : x.shape[-1]]


class DenseLayer(nn.Module):
    """A layer of the D-TDNN, which appends its output to its input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _normalised(channels)
        self.linear1 = nn.Conv1d(channels, 128, 1, bias=False)
        self.nonlinear2 = _normalised(128)
        self.cam_layer = MaskedConvolution(128, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Append 32 channels."""
        found = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return torch.cat([x, found], 1)


class Statistics(nn.Module):
    """The mean and the deviation over time: (batch, channels, frames) to (batch, 2 channels, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return torch.cat([x.mean(-1, keepdim=True), x.std(-1, keepdim=True)], 1)


class CamPlusPlus(nn.Module):
    """Embeds features of 10 ms, less their mean: (batch, frames, 80) to (batch, 192)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        backbone: OrderedDict[str, nn.Module] = OrderedDict()
        backbone["tdnn"] = nn.Sequential(
            OrderedDict(linear=nn.Conv1d(320, 128, 5, 2, 2, bias=False), nonlinear=_normalised(128))
        )
        channels = 128
        for number, (count, dilation) in enumerate(_BLOCKS, 1):
            block: OrderedDict[str, nn.Module] = OrderedDict()
            for layer in range(count):
                block[f"tdnnd{layer + 1}"] = DenseLayer(channels, dilation)
                channels += _GROWTH
            backbone[f"block{number}"] = nn.Sequential(block)
            backbone[f"transit{number}"] = nn.Sequential(
                OrderedDict(
                    nonlinear=_normalised(channels),
                    linear=nn.Conv1d(channels, channels // 2, 1, bias=False),
                )
            )
            channels //= 2
        backbone["out_nonlinear"] = _normalised(channels)
        backbone["stats"] = Statistics()
        backbone["dense"] = nn.Sequential(
            OrderedDict(
                linear=nn.Conv1d(2 * channels, DIMENSION, 1, bias=False),
                nonlinear=nn.Sequential(
                    OrderedDict(batchnorm=nn.BatchNorm1d(DIMENSION, affine=False))
                ),
            )
        )
        self.xvector = nn.Sequential(backbone)

    def forward(self, features: Tensor) -> Tensor:
        """Embed."""
        embedding: Tensor = self.xvector(self.head(features.transpose(1, 2))).squeeze(-1)
        return embedding


def _normalised(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


def load(weights: Path) -> CamPlusPlus:
    """The network with its published weights; raises torch's errors if they do not match."""
    model = CamPlusPlus()
    model.load_state_dict(torch.load(weights, "cpu", weights_only=True))
    return model.eval()


def export(model: nn.Module, target: Path) -> None:
    """Write an embedding model as an ONNX file: `feats` (batch, frames, 80) to `embs` (batch, n).

    Raises `ValueError` if its embeddings differ from torch's.
    """
    # The exporter needs the onnx package only to look for onnxscript functions; there are none.
    plain = mock.patch(
        "torch.onnx._internal.onnx_proto_utils._add_onnxscript_fn", lambda proto, _: proto
    )
    with plain, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3 * _SEGMENT, BANDS),),
            str(target),
            input_names=["feats"],
            output_names=["embs"],
            dynamic_axes={"feats": {0: "batch", 1: "frames"}, "embs": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    off = difference(model, target)
    if not off < _TOLERANCE:
        raise ValueError(f"{target.name} differs from torch by {off}.")


def difference(model: nn.Module, target: Path) -> float:
    """The largest difference between torch's and an ONNX file's embeddings.

    Compares them on seeded random features: shorter than a segment, full segments, and longer.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for batch, frames in ((1, 9), (2, 150), (1, 200), (3, 201), (1, 998)):
        features = 3 * torch.randn(batch, frames, BANDS, generator=generator)
        features -= features.mean(1, keepdim=True)
        with torch.inference_mode():
            expected = model(features)
        (found,) = session.run(["embs"], {"feats": features.numpy()})
        largest = max(largest, float((torch.from_numpy(found) - expected).abs().max()))
    return largest
