"""A client of a live stream, which checks at every step what the protocol promises."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support import MODEL, SAMPLE_RATE, Session

CHUNK = 1600
"""Samples: 0.1 s."""


class Stream:
    """An open stream. All that the session receives has to go through `take`, as `until` does."""

    def __init__(self, session: Session, name: str = "stream", **options: Any) -> None:
        self.session = session
        self.name = name
        self.segments: dict[int, dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.told = 0
        """How many segments came, each as often as it came."""
        self.neighbour: Stream | None = None
        """Gets what is not for this stream."""
        params = {
            "stream": name,
            "model": str(MODEL),
            "encoderContext": 30,  # the toy model was trained on whole windows
            "progressToken": f"{name} progress",
            "partialResultToken": f"{name} segments",
            **options,
        }
        self.id = session.send("live/transcribe", params)

    def send(self, samples: npt.NDArray[Any], at: float | None = None) -> None:
        """Append samples in a notification."""
        self.session.notify("live/append", self.params(samples, at))

    def append(self, samples: npt.NDArray[Any], at: float | None = None) -> Any:
        """Append samples in a request; return its answer."""
        return self.result(self.session.send("live/append", self.params(samples, at)))

    def params(self, samples: npt.NDArray[Any], at: float | None = None) -> dict[str, Any]:
        params = {"stream": self.name, "audio": base64.b64encode(samples.tobytes()).decode()}
        return params if at is None else {**params, "at": at}

    def speak(self, samples: npt.NDArray[Any], chunk: int = CHUNK) -> None:
        """Append samples in chunks, each in a notification."""
        for place in range(0, len(samples), chunk):
            self.send(samples[place : place + chunk])

    def commit(self) -> Any:
        return self.result(self.session.send("live/commit", {"stream": self.name}))

    def finish(self) -> Any:
        """End the input; return the result of the stream."""
        self.session.send("live/finish", {"stream": self.name})
        return self.end()

    def end(self) -> Any:
        """Return the result of the stream, which agrees with what was told before."""
        result = self.result(self.id)
        told = [each for each in self.ordered() if each["text"]]
        if not result["segments"] or "speaker" not in result["segments"][0]:
            assert [each["text"] for each in result["segments"]] == [each["text"] for each in told]
        assert all(each["final"] for each in self.segments.values())
        return result

    def result(self, id_: int) -> Any:
        return self.session.result(id_, self.take)

    def until(self, condition: Callable[[], object]) -> None:
        """Receive messages until a condition holds."""
        while not condition():
            message = self.session.wait_for(lambda message: True)
            if "method" in message:
                self.take(message["method"], message["params"])
            else:
                self.session._replies[message["id"]] = message

    def ordered(self) -> list[dict[str, Any]]:
        return [self.segments[id_] for id_ in sorted(self.segments)]

    @property
    def text(self) -> str:
        return " ".join(each["text"] for each in self.ordered() if each["text"])

    def speech(self) -> list[str]:
        """What was told of speech, in order."""
        return [each["speech"] for each in self.reports if each.get("stage") == "speech"]

    def take(self, method: str, params: dict[str, Any]) -> None:
        """Take in a notification."""
        token = params.get("token")
        if token == f"{self.name} progress":
            self.reports.append(params["value"])
        elif token == f"{self.name} segments":
            for segment in params["value"]["segments"]:
                self.told += 1
                self._take_segment(segment)
        elif self.neighbour:
            self.neighbour.take(method, params)
        else:
            self.session.notifications.append({"method": method, "params": params})

    def _take_segment(self, new: dict[str, Any]) -> None:
        id_, words = new["id"], new["words"]
        old = self.segments.get(id_)
        if old is None:
            assert id_ > max(self.segments, default=-1)
            assert all(each["final"] for each in self.segments.values())
        elif old["final"]:
            assert new["final"]
            if "speaker" in new:  # what somebody else says is another segment then
                assert old["text"].startswith(new["text"])
            else:
                assert new["text"] == old["text"]
        else:
            final = [word for word in old["words"] if word["final"]]
            assert words[: len(final)] == final
        finals = [word["final"] for word in words]
        assert finals == sorted(finals, reverse=True)
        assert all(finals) or not new["final"]
        assert "".join(word["word"] for word in words).strip() == new["text"]
        for one, other in pairwise(words):
            assert one["start"] <= one["end"] <= other["start"] + 1e-6
        self.segments[id_] = new


def silence(seconds: float) -> npt.NDArray[np.int16]:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


def joined(*parts: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return np.concatenate(parts)


def words_of(texts: Sequence[dict[str, Any]]) -> list[str]:
    return " ".join(each["text"] for each in texts).split()
