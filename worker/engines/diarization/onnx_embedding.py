"""A speaker embedding in an ONNX file, as pyannote.audio runs it, whose batches can be shared out.

onnxruntime computes one window at a time, by the thread that asks: what is faster is several such
threads, see `BatchThreads`, not more of its own within each small convolution.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pyannote.audio.pipelines.speaker_verification import ONNXWeSpeakerPretrainedSpeakerEmbedding


class OnnxEmbedding(ONNXWeSpeakerPretrainedSpeakerEmbedding):
    """Takes features `feats` (batch, frames, 80) and gives `embs` (batch, dimension).

    It stays on the CPU, for the onnxruntime that is installed here knows no other device.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file), torch.device("cpu"))

    def to(self, device: torch.device) -> OnnxEmbedding:
        """Stay where it is."""
        if not hasattr(self, "session_"):
            super().to(torch.device("cpu"))
        return self

    def __call__(
        self, waveforms: torch.Tensor, masks: torch.Tensor | None = None
    ) -> npt.NDArray[np.floating]:
        """Embed (batch, 1, samples) at 16 kHz, by masks of (batch, frames) if there are any.

        A row is NaN where a mask leaves too little. Raises `MemoryError`.
        """
        return self.forward(waveforms, masks=masks).numpy()

    def forward(
        self, waveforms: torch.Tensor, *, masks: torch.Tensor | None = None
    ) -> torch.Tensor:
        """As a call; `BatchThreads` takes the place of this."""
        try:
            return torch.from_numpy(super().__call__(waveforms, masks))
        except Exception as error:  # onnxruntime's own are no RuntimeErrors
            if "alloc" in str(error):
                raise MemoryError(str(error)) from None
            raise
