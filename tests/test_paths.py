"""Any file can be named, and none can harm: odd names, links, devices, files that name others.

A path that is not UTF-8 goes by its `file:` URI.
"""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from protocol.errors import RpcError
from tests.support import MODEL, RECORDINGS, Session, encode, samples_of
from worker import audio
from worker.system import paths

if TYPE_CHECKING:
    from worker.audio import Samples

SPEECH = RECORDINGS / "en-01.flac"

NAMES = [
    "a b",
    'it\'s "so" `x` $(y) ;&|',
    "new\nline\ttab\r",
    "🎧 да 日本",
    "\u202eright to left\u202c שלום",
    "-rf",
    "%41%FF #?&",
    "back\\slash",
    "http:",
    "concat:a|b",
    "é" * 120,
    "x" * 250,
]
"""Each is a name as such, of 255 bytes at most with a suffix."""
if os.name == "nt":  # these characters are in no name there
    NAMES = [name for name in NAMES if not set(name) & set('"|?:\\\n\t\r')]


def kind_of(path: str | Path) -> str:
    """The kind of error that decoding has."""
    with pytest.raises(RpcError) as caught:
        audio.decode(str(path))
    return caught.value.kind


@pytest.fixture(scope="module")
def expected() -> Samples:
    return audio.decode(str(SPEECH))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_read(tmp_path: Path, name: str, expected: Samples) -> None:
    file = tmp_path / f"{name}.wav"
    shutil.copy(SPEECH, file)
    np.testing.assert_array_equal(audio.decode(str(file)), expected)


def test_names_that_look_like_urls_are_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Samples
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b", "http:x.flac", "subfile,,start,0,end,9,,:x", "data:x,", "pipe:0"):
        shutil.copy(SPEECH, name)
        np.testing.assert_array_equal(audio.decode(name), expected)
    assert kind_of("http://127.0.0.1:9/x.wav") == "audio_not_found"
    assert kind_of("pipe:") == "audio_not_found"


def test_a_name_that_is_not_utf8_goes_by_its_uri(tmp_path: Path, expected: Samples) -> None:
    place = os.fsencode(tmp_path) + b"/caf\xe9 \xff"
    os.mkdir(place)  # noqa: PTH102
    shutil.copy(os.fsencode(SPEECH), place + b"/a%.flac")
    uri = paths.to_wire(os.fsdecode(place + b"/a%.flac"))
    assert uri == f"{tmp_path.as_uri()}/caf%E9%20%FF/a%25.flac"
    assert os.fsencode(paths.from_wire(uri)) == place + b"/a%.flac"
    np.testing.assert_array_equal(audio.decode(uri), expected)
    assert kind_of(f"{uri}.not") == "audio_not_found"


def test_what_is_not_utf8_is_written_as_percent_signs() -> None:
    assert paths.name_to_wire("caf\udce9 é%") == (
        "caf%E9 é%" if os.name != "nt" else "caf%ED%B3%A9 é%"
    )


def test_a_uri_whose_bytes_cannot_be_a_path_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode())  # as on Windows
    with pytest.raises(RpcError, match="not UTF-8") as caught:
        paths.from_wire("file:///%FF")
    assert caught.value.kind == "invalid_params"


def test_a_uri_may_name_any_local_file_and_no_other(expected: Samples) -> None:
    for uri in (SPEECH.as_uri(), SPEECH.as_uri().replace("file:///", "file://localhost/")):
        np.testing.assert_array_equal(audio.decode(uri), expected)
    assert kind_of("file://elsewhere/x.wav") == "invalid_params"


def test_a_lone_surrogate_is_a_typed_error(worker: Session) -> None:
    assert worker.process.stdin
    line = b'{"jsonrpc":"2.0","id":77,"method":"transcribe","params":{"audio":"\\udcff"}}\n'
    worker.process.stdin.write(line)
    error = worker.wait_for(lambda message: "error" in message)["error"]
    assert error["data"]["kind"] in ("parse_error", "invalid_params")
    assert worker.call("ping") == {}


@pytest.mark.parametrize("name", NAMES[:6])
def test_outputs_and_models_may_have_any_name(worker: Session, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    model = shutil.copytree(MODEL, folder / "model")
    file = shutil.copy(SPEECH, folder / f"{name}.flac")
    result = worker.transcribe(
        file, model=str(model), language="en", formats=["txt"], outputDir=str(folder / "out")
    )
    assert [each["path"] for each in result["files"]] == [str(folder / "out" / f"{name}.txt")]
    assert (folder / "out" / f"{name}.txt").read_text().strip()


def test_outputs_go_to_a_folder_that_is_not_utf8(worker: Session, tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/\xff"
    transcript = {"segments": [{"start": 0.0, "end": 1.0, "text": "hello"}]}
    params = {"transcript": transcript, "formats": ["srt"], "name": "n" * 251}
    result = worker.call("export", {**params, "outputDir": f"{tmp_path.as_uri()}/%FF"})
    assert result["files"][0]["path"].startswith(f"{tmp_path.as_uri()}/%FF/nnn")
    assert [each.name for each in os.scandir(place)] == [b"n" * 251 + b".srt"]


def test_a_model_directory_that_is_not_utf8_is_refused_by_name(
    worker: Session, tmp_path: Path
) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")  # noqa: PTH102
    with pytest.raises(RpcError, match="not UTF-8") as caught:
        worker.transcribe(SPEECH, model=f"{tmp_path.as_uri()}/%FF")
    assert caught.value.kind == "model_invalid"
    assert caught.value.data["remedy"]


def test_a_path_of_nearly_4_kb_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Samples
) -> None:
    folder = tmp_path
    while len(str(folder)) < 4096 - 220:
        folder /= "d" * 100
    monkeypatch.chdir(tmp_path)
    folder.mkdir(parents=True)
    file = folder / f"{'f' * (4095 - len(str(folder)) - 6)}.flac"
    assert len(str(file)) == 4095
    shutil.copy(SPEECH, file)
    np.testing.assert_array_equal(audio.decode(str(file)), expected)
    assert kind_of(f"{file}x") == "audio_not_readable"


def test_a_link_to_a_file_works(tmp_path: Path, expected: Samples) -> None:
    link = tmp_path / "link.flac"
    link.symlink_to(SPEECH)
    np.testing.assert_array_equal(audio.decode(str(link)), expected)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/dev/zero", "audio_not_readable"),
        ("/dev/stdin", "audio_not_readable"),
        ("/dev/tty", "audio_not_readable"),
        ("/dev/null", "audio_not_readable"),
        ("/proc/self/mem", "audio_empty"),
        ("/proc/self/environ", "audio_empty"),
        ("/", "audio_not_readable"),
    ],
)
def test_special_files_neither_block_nor_are_read(worker: Session, path: str, kind: str) -> None:
    with pytest.raises(RpcError) as caught:
        worker.transcribe(path)
    assert caught.value.kind == kind


@pytest.mark.parametrize("what", ["pipe", "socket", "link to a pipe", "loop"])
def test_files_that_could_block_are_not_opened(worker: Session, tmp_path: Path, what: str) -> None:
    import socket

    path = tmp_path / "x.wav"
    if what == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif what == "loop":
        path.symlink_to(path)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
        if what == "pipe":
            path = tmp_path / "pipe"
    with pytest.raises(RpcError) as caught:
        worker.transcribe(path)
    assert caught.value.kind == "audio_not_readable"
    options = {"embedAudio": str(path)}
    transcript = {"segments": [{"start": 0.0, "end": 1.0, "text": "hello"}]}
    with pytest.raises(RpcError) as caught:
        worker.call("export", {"transcript": transcript, "formats": ["html"], "options": options})
    assert caught.value.kind == "export_failed"


class _Recorder(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback, and what it is asked for."""
    asked: list[str] = []
    handler = type("Handler", (_Recorder,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that others name."""
    return encode(tmp_path_factory.mktemp("victim") / "a.aac", samples_of("en-01.flac"), "aac")


_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)
_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 40000 RTP/AVP 0\n"


@pytest.mark.parametrize("suffix", ["m3u8", "mp3", "wav", "ffconcat", "sdp", "mpd", "txt"])
@pytest.mark.parametrize(
    "content",
    [
        _HLS,
        "ffconcat version 1.0\nfile {}\n",
        "ffconcat version 1.0\nfile '{}'\nduration 5\n",
        _DASH,
        _SDP,
        "[playlist]\nFile1={}\n",
    ],
    ids=["hls", "concat", "quoted", "dash", "sdp", "pls"],
)
def test_a_recording_cannot_read_other_files_or_the_network(
    tmp_path: Path, site: tuple[str, list[str]], victim: Path, suffix: str, content: str
) -> None:
    url, asked = site
    (tmp_path / "a.aac").symlink_to(victim)
    names = ("a.aac", str(victim), victim.as_uri(), f"{url}/a.aac", f"concat:{victim}")
    for name in names:
        hostile = tmp_path / f"hostile.{suffix}"
        hostile.write_text(content.format(name))
        assert kind_of(hostile) == "audio_invalid"
        audio.estimated_duration(str(hostile))
    assert asked == []


def test_a_playlist_is_refused_as_one(tmp_path: Path) -> None:
    hostile = tmp_path / "list.m3u8"
    hostile.write_text(_HLS.format("a.aac"))
    with pytest.raises(RpcError, match="is a playlist") as caught:
        audio.decode(str(hostile))
    assert caught.value.data["remedy"] == "Give the recordings that it names."


def test_the_target_of_these_attacks_is_readable_by_name(tmp_path: Path, victim: Path) -> None:
    """Else the tests above would prove nothing."""
    import av

    (tmp_path / "a.aac").symlink_to(victim)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(_HLS.format("a.aac"))
    with av.open(str(playlist)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 10_000
    assert len(audio.decode(str(victim))) > 10_000
