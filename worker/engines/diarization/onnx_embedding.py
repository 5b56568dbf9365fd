"""A speaker embedding model in an ONNX file, run as pyannote.audio does, with batches to split.

onnxruntime computes one window at a time in the calling thread. Several calling threads make that
faster, see `BatchThreads`; more of onnxruntime's own within each small convolution do not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pyannote.audio.pipelines.speaker_verification import ONNXWeSpeakerPretrainedSpeakerEmbedding


class OnnxEmbedding(ONNXWeSpeakerPretrainedSpeakerEmbedding):
    """Its model turns features `feats` (batch, frames, 80) into `embs` (batch, dimension).

    It stays on the CPU, the only device that the onnxruntime we install supports.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file), torch.device("cpu"))

    def to(self, device: torch.device) -> OnnxEmbedding:
        """Stay on the CPU."""
        if not hasattr(self, "session_"):
            super().to(torch.device("cpu"))
        return self

    def __call__(
        self, waveforms: torch.Tensor, masks: torch.Tensor | None = None
    ) -> npt.NDArray[np.floating]:
        """Embed (batch, 1, samples) at 16 kHz, optionally masked by (batch, frames).

        A row is NaN if its mask leaves too little.
        """
        return self.forward(waveforms, masks=masks).numpy()

    def forward(
        self, waveforms: torch.Tensor, *, masks: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute what a call returns; `BatchThreads` replaces this method."""
        return torch.from_numpy(super().__call__(waveforms, masks))
