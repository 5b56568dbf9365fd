"""Whole jobs: aligned words, speakers and files from stages that run and end together."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from protocol.envelope import Call
from protocol.errors import CancelledBy, RpcError
from protocol.params import decode_params
from protocol.transcription import TranscribeParams
from protocol.values import TimeSpan
from tests.measures import diarization_error, word_errors
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    PATIENCE,
    RECORDINGS,
    Session,
    children,
    load_truth,
    long_recording,
    wait_until,
    wait_until_gone,
)
from worker.formats.speaker_changes import Said
from worker.formats.speaker_changes import parts as parts_by_speaker
from worker.managers.callers import CallbackCaller
from worker.managers.model import Model
from worker.pipeline.orchestrator import Pipeline
from worker.pipeline.result import in_both
from worker.session.job import Job, Json
from worker.session.writer import Writer
from worker.system.log import Log

Start = Callable[..., Session]
TRUTH = load_truth(MIXTURES)
MIXED = [name for name, said in TRUTH.items() if said["channels"] == 1]
ALIGN = {"model": str(ALIGNMENT_MODEL)}
DIARIZE = {"model": str(DIARIZATION_MODEL)}
# The small test model is a poor clock, which our own engine needs; tests/real shows what that does.
PACKAGE = {"engine": "faster-whisper"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Session]:
    """A worker that keeps its models loaded after the first job."""
    with Session() as session:
        yield session


def whole_job(session: Session, name: str, /, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = session.transcribe(
        MIXTURES / name,
        **{"language": "en", "align": ALIGN, "diarize": DIARIZE, **PACKAGE, **options},
    )
    return result


def words_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in result["segments"] for word in segment["words"]]


@pytest.fixture(
    scope="module",
    params=[pytest.param(2, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)],
)
def jobs(warm: Session, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """A whole job per mixture, several at a time."""
    assert len(MIXED) >= 20
    ids = {
        name: warm.send_transcribe(
            MIXTURES / name, language="en", align=ALIGN, diarize=DIARIZE, **PACKAGE
        )
        for name in MIXED[:: request.param]
    }
    return {name: warm.result(id_) for name, id_ in ids.items()}


def test_word_error_rate_is_below_a_tenth(jobs: dict[str, dict[str, Any]]) -> None:
    wrong = total = 0
    for name, result in jobs.items():
        said = [word["word"] for word in TRUTH[name]["words"]]
        # The small model gives some segments times after the end, and so they are left out.
        told = [each for each in result["warnings"] if each["kind"] == "text_outside_audio"]
        left_out = [span["text"] for each in told for span in each["spans"]]
        wrong += word_errors(said, " ".join([result["text"], *left_out]).split())
        total += len(said)
    assert wrong / total < 0.1


def test_word_boundaries_are_accurate(jobs: dict[str, dict[str, Any]]) -> None:
    errors: list[float] = []
    for name, result in jobs.items():
        said, found = TRUTH[name]["words"], words_of(result)
        if [word["word"] for word in said] != [word["word"].strip() for word in found]:
            continue  # a misheard word says nothing about alignment
        errors += [
            abs(a[edge] - b[edge])
            for a, b in zip(said, found, strict=True)
            for edge in ("start", "end")
        ]
    assert len(errors) > 8 * len(jobs)
    assert statistics.mean(errors) < 0.03
    assert statistics.median(errors) < 0.015


def test_diarization_error_rate_is_low(jobs: dict[str, dict[str, Any]]) -> None:
    parts = [diarization_error(TRUTH[name]["turns"], jobs[name]["turns"]) for name in jobs]
    assert sum(wrong for wrong, _ in parts) / sum(length for _, length in parts) < 0.15


def test_every_word_has_a_speaker_and_most_are_right(jobs: dict[str, dict[str, Any]]) -> None:
    right = total = 0
    for name, result in jobs.items():
        said = [{**word, "speaker": word["speaker"]} for word in TRUTH[name]["words"]]
        found = words_of(result)
        assert all("speaker" in word for word in found)
        assert result["speakers"] == list(dict.fromkeys(word["speaker"] for word in found))
        if [word["word"] for word in said] != [word["word"].strip() for word in found]:
            continue
        pairs = [(a["speaker"], b["speaker"]) for a, b in zip(said, found, strict=True)]
        for speaker in {b for _, b in pairs}:
            mine = [a for a, b in pairs if b == speaker]
            right += max(map(mine.count, set(mine)))
        total += len(pairs)
    assert total > 4 * len(jobs)
    assert right / total > 0.85


def test_words_join_to_their_segment_and_share_its_bounds(jobs: dict[str, dict[str, Any]]) -> None:
    for result in jobs.values():
        for segment in result["segments"]:
            assert "".join(word["word"] for word in segment["words"]) == segment["text"]
            assert segment["words"][0]["start"] == segment["start"]
            assert segment["words"][-1]["end"] == segment["end"]
            assert segment["speaker"] in {word["speaker"] for word in segment["words"]}


def test_no_segment_is_of_two_speakers(jobs: dict[str, dict[str, Any]]) -> None:
    for result in jobs.values():
        for segment in result["segments"]:
            said = [Said(w["word"], w["speaker"], w["start"], w["end"]) for w in segment["words"]]
            [part] = parts_by_speaker(said)
            assert part.speaker in (None, segment["speaker"])
        starts = [segment["start"] for segment in result["segments"]]
        assert starts == sorted(starts)
        assert " ".join(segment["text"] for segment in result["segments"]) == result["text"]


def test_a_job_alone_gives_the_same_result(warm: Session, jobs: dict[str, dict[str, Any]]) -> None:
    alone = whole_job(warm, "mixture-09.flac")
    beside = jobs["mixture-09.flac"]
    assert alone["turns"] == beside["turns"]
    assert [word["word"] for word in words_of(alone)] == [word["word"] for word in words_of(beside)]
    for word, same in zip(words_of(alone), words_of(beside), strict=True):
        assert word["start"] == pytest.approx(same["start"], abs=0.025)


def test_stages_run_side_by_side(warm: Session, jobs: dict[str, dict[str, Any]]) -> None:
    long = whole_job(warm, "mixture-24.flac", beamSize=10)
    stages = long["timings"]["stages"]
    assert set(stages) == {
        *("queue", "load", "decode", "recognition", "alignment", "diarization", "assignment")
    }
    assert stages["diarization"]["begin"] < stages["recognition"]["end"]
    others = max(stages[name]["end"] for name in ("recognition", "diarization"))
    assert stages["alignment"]["begin"] < others
    assert all(0 <= span["begin"] <= span["end"] for span in stages.values())
    assert stages["assignment"]["end"] <= long["timings"]["total"]
    assert long["realTimeFactor"] > 0


def test_partial_results_keep_their_ids_and_progress_never_goes_back(
    warm: Session, jobs: dict[str, dict[str, Any]]
) -> None:
    warm.notifications.clear()
    result = whole_job(warm, "mixture-24.flac", progressToken="p", partialResultToken="s")
    values = [(note["params"]["token"], note["params"]["value"]) for note in warm.notifications]
    assert [value["kind"] for token, value in values if token == "p"][:: len(values)] == ["begin"]
    assert values[-1] == ("p", {"kind": "end"})
    reports = [value for token, value in values if value.get("kind") == "report"]
    percentages = [report["percentage"] for report in reports]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
    for stage in ("decode", "recognition", "alignment", "diarization", "assignment"):
        assert reports[-1]["stages"][stage] == 100
    seen: dict[int, list[dict[str, Any]]] = {}
    for token, value in values:
        if token == "s":
            assert value["language"] == "en"
            for segment in value["segments"]:
                seen.setdefault(segment["id"], []).append(segment)
    assert sorted(seen) == list(range(len(result["segments"])))
    for segment in result["segments"]:
        versions = seen[segment["id"]]
        assert versions[-1] == segment
        if len(versions) == 1:  # what another speaker says in a segment that was already sent
            assert segment["words"] and segment["speaker"]
            continue
        assert versions[0]["words"] is None
        assert len({version["text"] for version in versions[:-1]}) == 1
        assert versions[0]["text"].startswith(segment["text"])
        words = [version for version in versions if version["words"]]
        assert "speaker" not in words[0] or len(words) == 1
        assert "speaker" in words[-1]


def test_align_and_diarize_work_without_each_other(warm: Session) -> None:
    aligned = whole_job(warm, "mixture-02.flac", diarize=False)
    assert "turns" not in aligned and "speakers" not in aligned
    assert all("speaker" not in word for word in words_of(aligned))
    diarized = whole_job(warm, "mixture-02.flac", align=False)
    assert all("speaker" in word for word in words_of(diarized))
    assert all("speaker" in segment for segment in diarized["segments"])
    assert aligned["text"] == diarized["text"]


def test_stage_options_take_effect(warm: Session) -> None:
    result = whole_job(
        warm,
        "mixture-03.flac",
        align={**ALIGN, "aligner": "whisperx", "characters": True},
        diarize={**DIARIZE, "numSpeakers": 1, "embeddings": True, "assignment": "whisperx"},
    )
    assert result["speakers"] == ["SPEAKER_00"]
    assert list(result["speakerEmbeddings"]) == ["SPEAKER_00"]
    assert all("characters" in word for word in words_of(result))


def test_a_clip_keeps_the_times_of_the_recording(warm: Session) -> None:
    whole = whole_job(warm, "mixture-10.flac")
    part = whole_job(warm, "mixture-10.flac", start=whole["segments"][2]["start"] - 0.4)
    assert words_of(part)[-1]["end"] == pytest.approx(words_of(whole)[-1]["end"], abs=0.1)
    assert part["turns"][-1]["end"] == pytest.approx(whole["turns"][-1]["end"], abs=0.1)
    assert part["segments"][0]["start"] >= whole["segments"][2]["start"] - 0.4


def test_a_detected_language_is_aligned(warm: Session) -> None:
    result = whole_job(warm, "mixture-08.flac", language=None, diarize=False)
    assert result["language"] == "en"
    assert all(segment["words"] for segment in result["segments"])


def test_silence_has_no_words_and_no_speakers(warm: Session, tmp_path: Path) -> None:
    import numpy as np

    from tests.support import write_wav

    path = write_wav(tmp_path / "silence.wav", np.zeros(48_000, np.int16))
    result = warm.transcribe(
        path, language="en", align=ALIGN, diarize=DIARIZE, formats=["srt", "rttm"]
    )
    assert (result["segments"], result["turns"], result["speakers"]) == ([], [], [])
    assert result["contents"] == {"srt": "", "rttm": ""}


# Files


def test_files_are_written_with_speakers(warm: Session, tmp_path: Path) -> None:
    result = whole_job(
        warm,
        "mixture-02.flac",
        formats=["srt", "vtt", "rttm", "json"],
        outputDir=str(tmp_path / "out"),
        formatOptions={"highlightWords": True},
    )
    assert "contents" not in result
    names = sorted(Path(each["path"]).name for each in result["files"])
    assert names == [f"mixture-02.{suffix}" for suffix in ("json", "rttm", "srt", "vtt")]
    assert "<v SPEAKER_00>" in (tmp_path / "out" / "mixture-02.vtt").read_text()
    assert "<u>" in (tmp_path / "out" / "mixture-02.srt").read_text()
    rttm = (tmp_path / "out" / "mixture-02.rttm").read_text()
    assert rttm.count("SPEAKER mixture-02 1") == len(result["turns"])


def test_jobs_for_missing_devices_share_the_places_of_the_cpu(start: Any) -> None:
    session = start()
    ids = [
        session.send_transcribe(
            RECORDINGS / "demo.flac", formats=["srt"], deviceIndex=99 + number, end=30
        )
        for number in range(8)
    ]
    running = 0
    while jobs := session.call("jobs/list")["jobs"]:
        running = max(running, sum(job["state"] == "running" for job in jobs))
    assert all(session.result(id_)["contents"]["srt"] for id_ in ids)
    assert running <= 4  # three, and one that could overtake a batch


def test_an_existing_file_is_refused_before_any_work(warm: Session, tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text("mine")
    with pytest.raises(RpcError) as caught:
        whole_job(
            warm,
            "mixture-02.flac",
            formats=["srt"],
            outputDir=str(tmp_path),
            name="talk",
            overwrite=False,
        )
    assert caught.value.kind == "export_exists"
    assert (tmp_path / "talk.srt").read_text() == "mine"


def test_files_that_cannot_be_written_leave_the_transcript(warm: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = {"formats": ["srt"], "outputDir": str(tmp_path / "file" / "below")}
    result = whole_job(warm, "mixture-02.flac", diarize=False, **where)
    assert result["segments"] and "files" not in result
    (warning,) = result["warnings"]
    assert (warning["kind"], warning["option"]) == ("stage_failed", "formats")
    assert warning["error"]["data"]["kind"] == "export_failed"
    with pytest.raises(RpcError) as caught:
        whole_job(warm, "mixture-02.flac", diarize=False, onStageError="fail", **where)
    assert caught.value.kind == "export_failed"


def test_file_options_without_formats_are_warned_about(warm: Session) -> None:
    result = warm.transcribe(RECORDINGS / "en-01.flac", outputDir="x", name="y")
    assert [warning["option"] for warning in result["warnings"]] == ["outputDir", "name"]


# Channels as speakers


@pytest.mark.parametrize("name", ["call-1.flac", "call-2.flac"])
def test_each_channel_of_a_call_is_a_speaker(warm: Session, name: str) -> None:
    result = whole_job(warm, name, diarize=False, channelSpeakers=["agent", "caller"])
    said = TRUTH[name]
    names = {f"voice-{channel}": who for channel, who in enumerate(("agent", "caller"))}
    for voice, who in names.items():
        spoken = [word["word"] for word in said["words"] if word["speaker"] == voice]
        found = [word["word"].strip() for word in words_of(result) if word["speaker"] == who]
        assert word_errors(spoken, found) <= len(spoken) * 0.2
    starts = [segment["start"] for segment in result["segments"]]
    assert starts == sorted(starts)
    assert sorted(segment["id"] for segment in result["segments"]) == list(range(len(starts)))
    first = min(said["turns"], key=lambda turn: turn["start"])
    assert result["speakers"][0] == names[first["speaker"]]


def test_silences_of_a_call_are_those_of_both_channels() -> None:
    one, other = (
        [TimeSpan(start=start, end=end) for start, end in spans]
        for spans in ([(0, 5), (6, 9), (12, 20)], [(2, 3.5), (4, 8), (8.5, 15), (18, 19.5)])
    )
    both = [(2, 3.5), (4, 5), (6, 8), (12, 15), (18, 19.5)]
    assert [(span.start, span.end) for span in in_both(one, other)] == both
    assert in_both(one, []) == []


def test_channels_without_names_are_numbered(warm: Session) -> None:
    result = warm.transcribe(MIXTURES / "call-1.flac", channelSpeakers=True)
    assert set(result["speakers"]) == {"CHANNEL_00", "CHANNEL_01"}
    assert all(segment["speaker"] in result["speakers"] for segment in result["segments"])


@pytest.mark.parametrize(
    ("name", "kind"), [("dual-mono.flac", "dual_mono"), ("mixture-01.flac", "mono")]
)
def test_identical_channels_are_transcribed_once_with_a_warning(
    warm: Session, name: str, kind: str
) -> None:
    result = warm.transcribe(MIXTURES / name, channelSpeakers=True)
    assert [warning["kind"] for warning in result["warnings"]] == [kind]
    assert "speakers" not in result
    said = [word["word"] for word in TRUTH[name]["words"]]
    assert word_errors(said, result["text"].split()) <= len(said) * 0.2


# What contradicts itself, or cannot be


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"channelSpeakers": True, "diarize": True}, "$.diarize"),
        ({"channelSpeakers": True, "channel": 0}, "$.channel"),
        ({"channelSpeakers": ["only"]}, "$.channelSpeakers"),
        ({"diarize": {"minSpeakers": 3, "maxSpeakers": 2}}, "$.diarize"),
        ({"diarize": {"numSpeakers": 5, "maxSpeakers": 2}}, "$.diarize"),
        ({"diarize": {"numSpeakers": 0}}, "$.diarize.numSpeakers"),
        ({"align": {"batchsize": 1}}, "$.align.batchsize"),
        ({"formats": ["doc"]}, "$.formats[0]"),
        ({"formats": []}, "$.formats"),
        ({"onStageError": "ignore"}, "$.onStageError"),
    ],
)
def test_contradictory_params_are_refused_with_their_path(
    warm: Session, options: dict[str, Any], path: str
) -> None:
    with pytest.raises(RpcError) as caught:
        warm.transcribe(MIXTURES / "call-1.flac", **options)
    assert caught.value.kind == "invalid_params"
    assert caught.value.data["path"] == path


def test_a_translation_is_not_aligned_but_warned_about(warm: Session) -> None:
    result = warm.transcribe(
        RECORDINGS / "de-01.flac", language="de", task="translate", align=ALIGN
    )
    assert [warning["option"] for warning in result["warnings"]] == ["align"]
    assert result["segments"]


FAILURES = [
    ({"diarize": {"model": "pyannote/not-here"}}, "diarize", "model_not_cached"),
    ({"align": {"model": "not/here"}}, "align", "model_not_cached"),
    pytest.param(
        {"diarize": {"model": "./not-here"}}, "diarize", "model_not_found", marks=pytest.mark.slow
    ),
    pytest.param(
        {"align": {"model": str(MODEL)}}, "align", "model_invalid", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("options", "option", "kind"), FAILURES)
def test_a_failed_stage_leaves_the_transcript_with_a_warning(
    start: Start, options: dict[str, Any], option: str, kind: str
) -> None:
    result = start().transcribe(RECORDINGS / "en-02.flac", **options)
    assert result["segments"]
    (warning,) = result["warnings"]
    assert (warning["kind"], warning["option"]) == ("stage_failed", option)
    assert warning["error"]["data"]["kind"] == kind
    assert warning["error"]["message"] in warning["message"]


@pytest.mark.parametrize(("options", "option", "kind"), FAILURES[1:3])
def test_a_failed_stage_fails_the_job_on_request(
    start: Start, options: dict[str, Any], option: str, kind: str
) -> None:
    session = start()
    with pytest.raises(RpcError) as caught:
        session.transcribe(RECORDINGS / "en-02.flac", onStageError="fail", **options)
    assert (caught.value.kind, caught.value.data["option"]) == (kind, option)
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_a_language_without_alignment_model_names_those_with_one(start: Start) -> None:
    with pytest.raises(RpcError) as caught:
        start().call(
            "align", {"audio": str(RECORDINGS / "en-01.flac"), "text": "x", "language": "tlh"}
        )
    assert caught.value.kind == "language_unsupported"
    assert "en" in caught.value.data["known"]
    assert "model" in caught.value.data["remedy"]


def test_an_audio_error_answers_the_job(warm: Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF this is no audio")
    with pytest.raises(RpcError) as caught:
        warm.transcribe(broken, align=ALIGN, diarize=DIARIZE)
    assert caught.value.kind == "audio_invalid"


# Cancelled, killed, and what is left behind


def scratch_directories(place: Path, purpose: str = "job") -> list[Path]:
    return list(place.glob(f"transcription-worker-{purpose}-*"))


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("load", marks=pytest.mark.slow),
        pytest.param("decode", marks=pytest.mark.slow),
        "recognition",
        pytest.param("alignment", marks=pytest.mark.slow),
        pytest.param("diarization", marks=pytest.mark.slow),
    ],
)
def test_cancel_reaches_every_stage(
    start: Start, long_file: Path, tmp_path: Path, stage: str
) -> None:
    session = start("serve", "--cancel-grace", "0.3", env={**os.environ, "TMPDIR": str(tmp_path)})
    id_ = session.send_transcribe(
        long_file, language="en", align=ALIGN, diarize=DIARIZE, progressToken=1
    )
    session.wait_for(
        lambda m: (
            m.get("params", {}).get("value", {}).get("stage") == stage
            and (stage in ("load", "decode") or m["params"]["value"]["stages"].get(stage, 0) > 0)
        )
    )
    session.cancel(id_)
    with pytest.raises(RpcError) as caught:
        session.result(id_, session._keep)
    assert caught.value.data == {"kind": "cancelled", "by": "client"}
    assert session.notifications[-1]["params"]["value"] == {"kind": "end"}
    wait_until(lambda: not scratch_directories(tmp_path))
    result = session.transcribe(MIXTURES / "mixture-01.flac", language="en", align=ALIGN)
    assert words_of(result)


class Stalled:
    """A fake pool: models of the kind `failing` raise an error, the others wait for the end."""

    def __init__(self, failing: str = "", error: RpcError | None = None) -> None:
        self._failing = failing
        self._error = error
        self.waiting = threading.Event()

    def lease(self, model: Model, **wishes: Any) -> StalledLease:
        return StalledLease(self, self._error if model.kind == self._failing else None)


class StalledLease(AbstractContextManager["StalledLease"]):
    loaded = False

    def __init__(self, managers: Stalled, error: RpcError | None) -> None:
        self._managers = managers
        self._error = error

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, part: CallbackCaller, work: object) -> None:
        if self._error:
            raise self._error
        over = threading.Event()
        part.on_cancel(lambda by: over.set())
        self._managers.waiting.set()
        assert over.wait(PATIENCE)
        part.raise_if_cancelled()


def stalled(managers: Stalled) -> tuple[Job, Callable[[], Json]]:
    """A whole job with such a pool, and the function that runs it."""
    params = {
        "audio": str(MIXTURES / "mixture-01.flac"),
        "model": str(MODEL),
        "language": "en",
        "align": ALIGN,
        "diarize": DIARIZE,
        "onStageError": "fail",
    }
    call = Call("transcribe", b"1", json.dumps(params).encode())
    job = Job(call, Writer(os.open(os.devnull, os.O_WRONLY), lambda: None), lambda reply: None)
    asked = decode_params(call.params, TranscribeParams)
    pipeline = Pipeline(job, asked, managers, Log("test", "error"))  # type: ignore[arg-type]
    return job, pipeline.run


@pytest.mark.parametrize("kind", ["engine_crashed", "out_of_memory", "internal_error"])
@pytest.mark.parametrize("failing", ["audio", "whisper", "alignment", "diarization"])
def test_the_first_error_answers_not_the_cancelled_stages(failing: str, kind: str) -> None:
    _, run = stalled(Stalled(failing, RpcError(kind)))
    with pytest.raises(RpcError) as caught:
        run()
    assert caught.value.kind == kind


@pytest.mark.parametrize("by", ["client", "signal", "shutdown"])
def test_a_job_cancelled_in_all_stages_says_by_whom(by: CancelledBy) -> None:
    managers = Stalled()
    job, run = stalled(managers)

    def cancel() -> None:
        managers.waiting.wait(PATIENCE)
        job.stop(by)

    threading.Thread(target=cancel).start()
    with pytest.raises(RpcError) as caught:
        run()
    assert caught.value.data == {"kind": "cancelled", "by": by}


@pytest.mark.parametrize("name", ["SIGKILL", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_killed_engine_is_a_warning_and_the_job_continues(
    start: Start, tmp_path: Path, name: str
) -> None:
    long_file = long_recording(tmp_path / "long.wav", times=2)
    session = start()
    id_ = session.send_transcribe(long_file, language="en", diarize=DIARIZE, progressToken=1)
    session.wait_for(
        lambda m: m.get("params", {}).get("value", {}).get("stages", {}).get("diarization", 0) > 0
    )
    for pid in children(session.process.pid):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"diarization" in command.split(b"\0"):
            os.kill(pid, getattr(signal, name))
    result = session.result(id_, session._keep)
    assert result["segments"]
    (warning,) = [each for each in result["warnings"] if each["option"]]
    assert warning["option"] == "diarize"
    assert warning["error"]["data"]["kind"] == "engine_crashed"
    assert warning["error"]["data"]["signal"] == name


def test_a_killed_client_leaves_no_process_and_the_next_worker_cleans_up(
    start: Start, long_file: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    session = start(env=environment)
    session.send_transcribe(long_file, language="en", align=ALIGN, progressToken=1)
    session.wait_for(lambda m: m.get("params", {}).get("value", {}).get("stage") == "recognition")
    engines = children(session.process.pid)
    assert len(engines) == 3
    session.process.kill()
    wait_until_gone(engines)
    assert len(scratch_directories(tmp_path)) == 1
    later = start(env=environment)
    later.transcribe(MIXTURES / "mixture-01.flac", formats=["txt"])
    assert scratch_directories(tmp_path) == []
    assert len(scratch_directories(tmp_path, "engine")) == 2  # its own: audio and whisper
    later.close()
    assert list(tmp_path.iterdir()) == []


def test_shutdown_during_a_job_answers_it_and_leaves_nothing(
    start: Start, long_file: Path, tmp_path: Path
) -> None:
    session = start(env={**os.environ, "TMPDIR": str(tmp_path)})
    id_ = session.send_transcribe(long_file, language="en", align=ALIGN, progressToken=1)
    session.wait_for(lambda m: m.get("params", {}).get("value", {}).get("stage") == "recognition")
    engines = children(session.process.pid)
    session.process.send_signal(signal.SIGTERM)
    with pytest.raises(RpcError) as caught:
        session.result(id_)
    assert caught.value.data == {"kind": "cancelled", "by": "signal"}
    assert session.process.wait(PATIENCE) == 128 + signal.SIGTERM
    wait_until_gone(engines)
    assert list(tmp_path.iterdir()) == []


# `align` and `diarize` by themselves


def test_align_accepts_the_callers_text(warm: Session) -> None:
    said = TRUTH["mixture-04.flac"]
    text = " ".join(word["word"] for word in said["words"])
    result = warm.call(
        "align",
        {
            "audio": str(MIXTURES / "mixture-04.flac"),
            "text": text,
            "language": "EN",
            "model": str(ALIGNMENT_MODEL),
        },
    )
    found = words_of(result)
    late = [abs(a["start"] - b["start"]) for a, b in zip(said["words"], found, strict=True)]
    assert statistics.median(late) < 0.02
    assert result["aligner"] == "batched"
    assert set(result["timings"]["stages"]) == {"queue", "load", "decode", "alignment"}


@pytest.mark.parametrize("params", [{}, {"text": "a", "segments": []}])
def test_align_needs_either_segments_or_text(warm: Session, params: dict[str, Any]) -> None:
    with pytest.raises(RpcError) as caught:
        warm.call("align", {"audio": str(RECORDINGS / "en-01.flac"), "language": "en", **params})
    assert caught.value.kind == "invalid_params"


def test_align_accepts_the_result_of_transcribe(warm: Session) -> None:
    path = MIXTURES / "mixture-06.flac"
    transcript = warm.transcribe(path, language="en")
    result = warm.call(
        "align",
        {
            "audio": str(path),
            "segments": transcript["segments"],
            "language": transcript["language"],
            "model": str(ALIGNMENT_MODEL),
        },
    )
    assert [s["text"] for s in result["segments"]] == [s["text"] for s in transcript["segments"]]
    assert [s["id"] for s in result["segments"]] == [s["id"] for s in transcript["segments"]]


def test_diarize_by_itself(warm: Session) -> None:
    path = MIXTURES / "mixture-10.flac"
    result = warm.call("diarize", {"audio": str(path), **DIARIZE, "numSpeakers": 2})
    wrong, length = diarization_error(TRUTH[path.name]["turns"], result["turns"])
    assert wrong / length < 0.2
    assert re.fullmatch(r"SPEAKER_\d\d", result["speakers"][0])


@pytest.mark.slow  # tests/test_models.py asks the hub whose token it is
def test_the_token_of_initialize_reaches_only_the_hub(start: Start) -> None:
    from tests.hub import serving

    secret = "hf_tokenOfInitialize"
    with serving() as hub:
        session = start("--log-level", "debug", env={**os.environ, "HF_ENDPOINT": hub.url})
        session.call("initialize", {"hfToken": secret, "logLevel": "debug"})
        with pytest.raises(RpcError) as caught:
            session.call(
                "diarize",
                {
                    "audio": str(RECORDINGS / "en-01.flac"),
                    "model": "pyannote/gated",
                    "download": True,
                },
            )
        assert caught.value.kind == "model_gated"
        assert f"Bearer {secret}" in hub.tokens
    notes = list(session.notifications)
    session.close()
    assert secret not in f"{caught.value.data} {notes}"
    assert secret.encode() not in session.stderr


def test_speakers_fall_on_words_unless_these_are_refused(warm: Session) -> None:
    file = MIXTURES / "mixture-01.flac"
    result = warm.transcribe(file, language="en", diarize=DIARIZE, **PACKAGE)
    assert all("speaker" in word for word in words_of(result))
    assert all(segment["words"] for segment in result["segments"])
    result = warm.transcribe(file, language="en", diarize=DIARIZE, wordTimestamps=False, **PACKAGE)
    assert [each["kind"] for each in result["warnings"]] == ["speakers_by_segment"]
    assert not any(segment["words"] for segment in result["segments"])
