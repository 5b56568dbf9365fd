"""The audio engine: a recording decoded once, for all stages that work on it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker import audio
from worker.engines.common.recording import END_SUFFIX, tell_about
from worker.engines.contract import DecodeParams, DecodeResult, raw_path

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.session.job import Job

_ALIKE: Final = 0.98
"""Correlation above which two channels are one recording. The two sides of a call have about 0,
a room in stereo rarely more than 0.9; a lossy codec leaves copies of a channel above 0.99."""


class AudioEngine:
    """Methods of the engine's process. There is nothing to load."""

    def decode(self, job: Job, params: DecodeParams) -> DecodeResult:
        """Decode to files of mono float32 samples at 16 kHz, which others read meanwhile.

        Memory is bounded by a block. An empty file beside each says that it is complete.
        """
        if params.split and params.channel is not None:
            raise RpcError("invalid_params", "A channel was asked for, and all of them.", path="$")
        channel: audio.Channels = "mix" if params.channel is None else params.channel
        audio.check_file(params.audio)
        whole = audio.about_duration(params.audio) or params.end
        total = min(whole, params.end or whole) - params.start if whole else None
        count = 0
        likeness = _Likeness()
        paths: list[Path] = []
        job.report(ProgressReport(stage="decode"))
        try:
            with ExitStack() as stack:
                files: list[IO[bytes]] = []
                for block in audio.stream(
                    params.audio,
                    channel="all" if params.split else channel,
                    start=params.start,
                    end=params.end,
                ):
                    job.give_way()
                    if not files:
                        paths = [raw_path(params.directory, i) for i in range(len(block))]
                        if total:
                            for path in paths:
                                tell_about(str(path), total)
                        files = [stack.enter_context(path.open("xb")) for path in paths]
                    for file, row in zip(files, block, strict=True):
                        file.write(audio.to_float(row).data)
                    likeness.add(block)
                    count += block.shape[1]
                    _report(job, count / audio.SAMPLE_RATE, total)
            for path in paths:
                Path(f"{path}{END_SUFFIX}").touch()
        except OSError as error:
            raise RpcError(
                "storage_failed",
                f"The decoded audio cannot be kept in {params.directory}: {error.strerror}.",
                path=params.directory,
            ) from None
        return DecodeResult(
            paths=list(map(str, paths)),
            duration=count / audio.SAMPLE_RATE,
            alike=likeness.alike,
            loudest=likeness.loudest,
        )


def _report(job: Job, done: float, total: float | None) -> None:
    percentage = round(100 * min(1.0, done / total), 2) if total and total > 0 else None
    job.report(
        ProgressReport(stage="decode", percentage=percentage, audio_done=done, audio_total=total)
    )


class _Likeness:
    """How much the first channel is in every other one: the correlation, block by block."""

    def __init__(self) -> None:
        self._products: npt.NDArray[np.float64] | None = None

    def add(self, block: npt.NDArray[np.int16]) -> None:
        """Take the next samples, (channels, n)."""
        import numpy as np

        rows = block.astype(np.float64)
        products = rows @ rows.T
        self._products = products if self._products is None else self._products + products

    @property
    def loudest(self) -> int:
        """The channel with the most energy."""
        return 0 if self._products is None else int(self._products.diagonal().argmax())

    @property
    def alike(self) -> bool:
        """Whether there are several channels and all are the same; a silent one is like any."""
        if self._products is None or len(self._products) < 2:
            return False
        energies = self._products.diagonal()
        products = abs(self._products[self.loudest])
        return bool((products >= _ALIKE * (energies * energies[self.loudest]) ** 0.5).all())
