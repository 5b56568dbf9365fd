"""Findings of fuzzing, each named by the promise that was broken."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from protocol.control import NoParams
from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.params import decode_params
from protocol.transcript import ExportOptions, Transcript
from tests.fuzz.model import read_answers
from tests.fuzz.recordings import write_original
from tests.support import WORKER, Session
from worker.formats.registry import WRITERS
from worker.formats.timeline import build_timeline
from worker.session.job import Job


def test_a_request_of_any_nesting_has_one_reply() -> None:
    # At a depth where the envelope just parses, its params fail a few frames deeper.
    depths = range(900, 1010)
    lines = [
        b'{"jsonrpc":"2.0","id":%d,"method":"export","params":{"transcript":%b}}\n'
        % (depth, b"[" * depth + b"]" * depth)
        for depth in depths
    ]
    done = subprocess.run(WORKER, input=b"".join(lines), capture_output=True)
    assert done.returncode == 0
    answers = [each for line in done.stdout.splitlines(True) for each in read_answers(line)]
    assert len(answers) == len(depths)
    assert {each.outcome for each in answers} <= {-32602, -32700}


@pytest.mark.parametrize("raw", [b"", b"[]", b"[ ]", b"[\t\r]", b"{}", b"{ }"])
def test_empty_params_are_none(raw: bytes) -> None:
    assert decode_params(raw, NoParams) == NoParams()
    job = Job(Call("work", b"1", raw), None, lambda reply: None)  # type: ignore[arg-type]
    assert job.given == frozenset()


@pytest.mark.parametrize("raw", [b"[0]", b"[[]]", b"[ {} ]"])
def test_params_by_position_are_refused(raw: bytes) -> None:
    with pytest.raises(RpcError):
        decode_params(raw, NoParams)


@pytest.mark.parametrize("seconds", [-1e300, -1.7e308])
def test_a_time_far_before_the_recording_is_repaired(seconds: float) -> None:
    word = {"word": "one", "start": seconds, "end": seconds}
    given = {
        "segments": [{"text": "one", "start": seconds, "end": 1.0, "words": [word]}],
        "turns": [{"start": seconds, "end": seconds, "speaker": "A"}],
    }
    timeline = build_timeline(msgspec.convert(given, Transcript))
    srt = WRITERS["srt"].write(timeline, ExportOptions(), "talk")
    assert "00:00:00,000 --> 00:00:00,800\none\n" in srt


def test_a_chunk_of_negative_size_is_audio_invalid(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    path = write_original(tmp_path / "back.caf", "alac", 16000)
    data = path.read_bytes()
    size = data.index(b"info") + 4
    path.write_bytes(data[:size] + b"\x80" + data[size + 1 :])
    with pytest.raises(RpcError) as caught:
        start().transcribe(path)
    assert caught.value.kind == "audio_invalid"


def test_a_change_from_stereo_to_mono_is_decoded(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    # Broadcasts do this; PyAV crashed in native code.
    parts = [
        write_original(tmp_path / f"{layout}.ac3", "ac3", 48000, layout=layout).read_bytes()
        for layout in ("stereo", "mono", "stereo")
    ]
    path = tmp_path / "both.ac3"
    path.write_bytes(b"".join(parts))
    result = start().transcribe(path)
    assert result["duration"] == pytest.approx(3 * 0.256, abs=0.05)


def test_an_unknown_codec_is_audio_invalid(start: Callable[..., Session], tmp_path: Path) -> None:
    path = write_original(tmp_path / "unknown.m4a", "alac", 16000)
    path.write_bytes(path.read_bytes().replace(b"alac", b"zzzz"))
    with pytest.raises(RpcError) as caught:
        start().transcribe(path)
    assert caught.value.kind == "audio_invalid"


def test_a_decoder_crash_is_one_error(start: Callable[..., Session], tmp_path: Path) -> None:
    session = start()
    good = write_original(tmp_path / "good.adx", "adpcm_adx", 16000)
    bad = tmp_path / "bad.adx"
    header = good.read_bytes()[:48]
    bad.write_bytes(header[:6] + b"\0" + header[7:] + bytes(2320))  # FFmpeg divides by this 0
    with pytest.raises(RpcError) as caught:
        session.transcribe(bad)
    assert caught.value.kind in ("engine_crashed", "audio_invalid")
    assert session.transcribe(good)["duration"] == pytest.approx(0.25, abs=0.01)
