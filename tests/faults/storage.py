"""Faults of storage: full disks, a missing temporary directory, changing audio files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.disk import MIB, Disk, Limited, SmallDisk, namespaces_are_allowed
from tests.faults.rig import (
    SPEECH,
    Reply,
    Run,
    Worker,
    kind_of,
    kinds_of,
)
from tests.hub import serving
from tests.support import MODEL, samples_of, wait_until, write_wav

NO_ROOM = {"storage_failed", "export_failed", "disk_full"}


def worker_with_a_disk(run: Run, size: int = 16 * MIB, **environment: str) -> tuple[Worker, Disk]:
    """A worker with its own disk; the run draws how to fill it.

    In values of `environment`, `{disk}` stands for the disk's path.
    """
    disk: Disk
    path = run.place / "disk"
    if namespaces_are_allowed() and run.rng.random() < 0.8:
        disk = SmallDisk(path, size)
    else:
        disk = Limited(path, run.processes)
    variables = {name: value.format(disk=path) for name, value in environment.items()}
    worker = run.worker(prefix=disk.prefix, **variables)
    worker.ask("ping")
    disk.pid = worker.pid
    return worker, disk


def results_on_a_full_disk_are_there_whole_or_not_at_all(run: Run) -> None:
    worker, disk = worker_with_a_disk(run)
    formats = ["txt", "srt", "json", "html"]
    word = f"word{run.rng.randrange(1000)} "
    segment = {"start": 0.0, "end": 1.0, "text": word * 20_000}
    params = {
        "transcript": {"segments": [segment]},
        "formats": formats,
        "outputDir": str(disk.path),
        "name": "result",
    }
    assert kind_of(worker.ask("export", params)) == "result"
    whole = {path.name: path.stat().st_size for path in disk.files()}
    assert len(whole) == len(formats)
    other = {**params, "name": "other"}
    free = run.rng.randrange(max(whole.values()) - 1)
    disk.leave(free)
    ids = [worker.send("export", asked) for asked in (other, {**params, "overwrite": True}, other)]
    assert set(kinds_of(worker.wait(*ids))) == {"export_failed"}
    assert {path.name: path.stat().st_size for path in disk.files()} == whole
    disk.relieve()
    assert kind_of(worker.ask("export", other)) == "result"
    assert len(disk.files()) == 2 * len(formats)
    assert worker.finish() == 0


def audio_decoded_onto_a_full_disk_is_a_typed_error_and_leaves_nothing(run: Run) -> None:
    worker, disk = worker_with_a_disk(run, TMPDIR="{disk}")
    size = len(samples_of(SPEECH.name)) * 4
    disk.leave(run.rng.randrange(size))
    replies = worker.wait(*(worker.transcribe(formats=["srt"]) for _ in range(2)))
    assert set(kinds_of(replies)) == {"storage_failed"}, replies
    left = sum(path.stat().st_size for path in disk.files())
    assert left == 0
    disk.relieve()
    assert kind_of(worker.wait(worker.transcribe(formats=["srt"]))[0]) == "result"
    assert [path for path in disk.files() if path.suffix == ".f32"] == []
    assert worker.finish() == 0


def a_disk_that_runs_full_at_any_moment_of_a_job_costs_that_job_at_most(run: Run) -> None:
    worker, disk = worker_with_a_disk(run, TMPDIR="{disk}")
    out: dict[str, Any] = {"formats": ["srt", "json"], "outputDir": str(disk.path / "out")}
    ids = [worker.transcribe(**out, name=f"job{number}") for number in range(2)]
    run.moment(1.5)
    disk.leave(run.rng.randrange(2000))
    replies = worker.wait(*ids)
    for reply in replies:
        warned = [each["error"]["data"]["kind"] for each in _stage_failures(reply)]
        assert kind_of(reply) in {"result", *NO_ROOM}, reply
        assert set(warned) <= NO_ROOM, reply
    disk.relieve()
    written = {path.name for path in disk.files() if path.parent.name == "out"}
    assert all(name.endswith((".srt", ".json")) for name in written)
    reply = worker.wait(worker.transcribe(**out, name="last"))[0]
    assert (kind_of(reply), _stage_failures(reply)) == ("result", [])
    assert worker.finish() == 0


def a_download_onto_a_full_disk_is_a_typed_error_and_goes_on_when_there_is_room(run: Run) -> None:
    with serving() as hub:
        hub.add("some/whisper", MODEL)
        # Larger than the space that a download leaves free.
        worker, disk = worker_with_a_disk(
            run, 128 * MIB, HF_HOME="{disk}/home", HF_ENDPOINT=hub.url
        )
        size = sum(file.stat().st_size for file in MODEL.iterdir())
        stall = hub.fail("*model.bin*", stall_at=run.rng.randrange(1, size // 2))
        id_ = worker.send("models/download", {"model": "some/whisper"})
        wait_until(lambda: stall.reached.is_set() or id_ in worker.replies)
        assert stall.reached.is_set(), worker.replies
        disk.leave(run.rng.randrange(10_000))
        hub.heal()
        reply = worker.wait(id_)[0]
        # A limit to the size of files is not a full disk.
        expected = {"disk_full", "storage_failed"}
        expected |= {"model_download_failed"} if isinstance(disk, Limited) else set()
        assert kind_of(reply) in expected, reply
        disk.relieve()
        reply = worker.ask("models/download", {"model": "some/whisper"})
        assert kind_of(reply) == "result", reply
        assert reply["result"]["mended"] == []
        assert kind_of(worker.wait(worker.transcribe(model="some/whisper"))[0]) == "result"
        assert worker.finish() == 0


def a_temporary_directory_that_vanishes_costs_the_job_at_most(run: Run) -> None:
    worker = run.worker()
    ids = [worker.transcribe(formats=["srt"]) for _ in range(2)]
    run.moment(1.5)
    shutil.rmtree(run.temporary, ignore_errors=True)
    ids.append(worker.transcribe(formats=["srt"]))
    assert set(kinds_of(worker.wait(*ids))) <= {"result", "storage_failed", "audio_not_found"}
    run.temporary.mkdir(exist_ok=True)
    assert kind_of(worker.wait(worker.transcribe(formats=["srt"]))[0]) == "result"
    assert worker.finish() == 0


def audio_that_is_deleted_during_the_job_is_a_typed_error_at_most(run: Run) -> None:
    _change_audio(run, lambda audio: audio.unlink(), "audio_not_found")


def audio_that_is_truncated_during_the_job_is_a_typed_error_at_most(run: Run) -> None:
    def truncate(audio: Path) -> None:
        with audio.open("r+b") as file:
            file.truncate(run.rng.randrange(audio.stat().st_size))

    _change_audio(run, truncate, "audio_invalid", "audio_empty", "audio_not_readable")


def audio_that_grows_during_the_job_is_transcribed_to_some_end(run: Run) -> None:
    def grow(audio: Path) -> None:
        with audio.open("ab") as file:
            for _ in range(20):
                file.write(run.rng.randbytes(200_000))
                file.flush()
                run.moment(0.02)

    _change_audio(run, grow, "audio_invalid")


def _change_audio(run: Run, change: Callable[[Path], None], *allowed: str) -> None:
    speech = samples_of(SPEECH.name)
    audio = write_wav(run.place / "speech.wav", speech.repeat(run.rng.choice([1, 4])))
    worker = run.worker()
    formats: dict[str, Any] = {"formats": ["srt"]} if run.rng.random() < 0.5 else {}
    ids = [worker.transcribe(audio, end=1.0, **formats), worker.transcribe(audio, **formats)]
    run.moment(1.5)
    change(audio)
    replies = worker.wait(*ids)
    assert set(kinds_of(replies)) <= {"result", *allowed}, replies
    assert kind_of(worker.wait(worker.transcribe())[0]) == "result"
    assert worker.finish() == 0


def _stage_failures(reply: Reply) -> list[dict[str, Any]]:
    warnings: list[dict[str, Any]] = reply.get("result", {}).get("warnings", [])
    return [each for each in warnings if each["kind"] == "stage_failed"]
