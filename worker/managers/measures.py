"""How much memory models take: measured where they were loaded, estimated otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.managers import memory

if TYPE_CHECKING:
    from worker.managers.model import Model


class _Measure:
    """What one model was seen to take, in bytes; 0 where it was not measured."""

    def __init__(self, weights: int | None) -> None:
        self.weights = weights
        self.peak = 0
        self.device = 0


class Measures:
    """Measurements by model. Not thread-safe: the pool's lock guards them."""

    def __init__(self) -> None:
        self.devices = memory.Devices()
        self._measures: dict[bytes, _Measure] = {}
        self._bases: dict[str, int] = {}
        """What engines of a kind take besides the weights, as measured."""

    def expected(self, model: Model) -> memory.Estimate:
        """What the model takes at its highest."""
        measure = self._measure(model)
        guess = memory.estimate(
            model.kind,
            measure.weights,
            model.compute_type,
            self.device_of(model) is not None,
            self._bases.get(model.kind),
        )
        return memory.Estimate(measure.peak or guess.system, measure.device or guess.device)

    def device_of(self, model: Model) -> int | None:
        """The index of the CUDA device that the model runs on; None where that is the CPU."""
        return None if model.helper else self.cuda_device(model.device, model.device_index)

    def cuda_device(self, device: str, index: int) -> int | None:
        """The index of the CUDA device that a request's `device` stands for; None for the CPU."""
        present = device in ("auto", "cuda") and index < len(self.devices.memory())
        return index if present else None

    def lacks_device(self, model: Model) -> bool:
        """Whether the model is on a CUDA device on which it was not measured yet."""
        return self.expected(model).device > 0 and not self._measure(model).device

    def note(self, model: Model, resident: int, on_device: int) -> None:
        """Take note of what the model takes now."""
        measure = self._measure(model)
        measure.peak = max(measure.peak, resident)
        measure.device = max(measure.device, on_device)
        self._bases[model.kind] = memory.base_of(
            model.kind, measure.weights, model.compute_type, measure.peak
        )

    def forget(self, key: bytes) -> None:
        """Drop what was measured of one model."""
        self._measures.pop(key, None)

    def _measure(self, model: Model) -> _Measure:
        from worker.managers.resolve import weights

        if model.key not in self._measures:
            self._measures[model.key] = _Measure(weights(model))
        return self._measures[model.key]
