"""What a client may put before the decoder: it fits, is shortened and told, or is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import RpcError
from protocol.transcription import TranscribeParams
from tests.support import MODEL, RECORDINGS, Session
from worker.engines.recognition.prompts import PromptBudget

SPEECH = RECORDINGS / "en-01.flac"
MODES: list[dict[str, Any]] = [
    {},
    {"batchSize": 1},
    {"engine": "faster-whisper"},
    {"engine": "faster-whisper", "batchSize": 2},
    {"engine": "whisperx"},
]
QUICK = {"language": "en", "beamSize": 1, "temperature": [0.0, 0.6], "wordTimestamps": True}
MANY = "left right " * 300
POSITIONS = 448
MOST = 223


@pytest.fixture(params=MODES, ids=str, scope="module")
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    mode: dict[str, Any] = request.param
    return mode


@pytest.mark.parametrize(
    "options",
    [
        {"hotwords": MANY},
        {"hotwords": MANY, "initialPrompt": "left right " * 50},
        {"hotwords": MANY, "initialPrompt": [220] * MOST},
        {"hotwords": MANY, "maxNewTokens": 440},
        {"hotwords": MANY, "maxNewTokens": 443},
        {"hotwords": "世界，你好" * 200},
        {"hotwords": "left" * 400},
        {"hotwords": " \n", "initialPrompt": "", "prefix": " "},
        {"initialPrompt": [220] * 100, "prefix": "left " * 20},
        {"initialPrompt": [0, 393, 1893]},
        {"maxNewTokens": 1, "prefix": "left"},
    ],
    ids=lambda value: str(value)[:60],
)
def test_prompts_that_can_be_made_to_fit_give_a_transcript(
    worker: Session, mode: dict[str, Any], options: dict[str, Any]
) -> None:
    result = worker.transcribe(SPEECH, **options, **mode, **QUICK)
    assert result["engine"] == mode.get("engine", "whisper")


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"initialPrompt": MANY}, "$.initialPrompt"),
        ({"initialPrompt": [220] * (MOST + 1)}, "$.initialPrompt"),
        ({"initialPrompt": "left " * 100, "maxNewTokens": 400}, "$.initialPrompt"),
        ({"initialPrompt": [220, 10**6]}, "$.initialPrompt[1]"),
        ({"initialPrompt": [2**62]}, "$.initialPrompt[0]"),
        ({"initialPrompt": [220, 220, 384]}, "$.initialPrompt[2]"),
        ({"initialPrompt": "a <|startoftranscript|> b"}, "$.initialPrompt"),
        ({"hotwords": "a <|endoftext|> b"}, "$.hotwords"),
        ({"prefix": "<|startofprev|>"}, "$.prefix"),
        ({"prefix": MANY}, "$.prefix"),
        ({"prefix": "left " * 200, "initialPrompt": [220] * 200}, "$.prefix"),
        ({"maxNewTokens": 444}, "$.maxNewTokens"),
        ({"maxNewTokens": 2**62}, "$.maxNewTokens"),
        ({"suppressTokens": [-1, 1894]}, "$.suppressTokens[1]"),
        ({"suppressTokens": [-2]}, "$.suppressTokens[0]"),
        ({"suppressTokens": [2**40]}, "$.suppressTokens[0]"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_fit_is_refused_with_its_place_and_a_remedy(
    worker: Session, mode: dict[str, Any], options: dict[str, Any], path: str
) -> None:
    if _is_ignored(mode, options, path):
        assert worker.transcribe(SPEECH, **options, **mode, **QUICK)["warnings"]
        return
    with pytest.raises(RpcError) as caught:
        worker.transcribe(SPEECH, **options, **mode, **QUICK)
    assert (caught.value.kind, caught.value.data["path"]) == ("invalid_params", path)
    assert caught.value.data["remedy"]


def _is_ignored(mode: dict[str, Any], options: dict[str, Any], path: str) -> bool:
    if mode.get("engine") == "whisperx":
        tokens = isinstance(options.get("initialPrompt"), list)
        return tokens or "maxNewTokens" in options
    return mode.get("engine") == "faster-whisper" and "batchSize" in mode and path == "$.prefix"


def test_hotwords_lose_their_end_and_the_client_is_told(
    worker: Session, mode: dict[str, Any]
) -> None:
    result = worker.transcribe(SPEECH, hotwords=MANY, initialPrompt="one two", **mode, **QUICK)
    (notice,) = (each for each in result["warnings"] if each["kind"] == "prompt_shortened")
    assert notice["option"] == "hotwords"
    assert "left out" in notice["message"]
    kept = " ".join(MANY.split()[: MANY.count(" ") - _words_left_out(notice["message"])])
    own = worker.transcribe(SPEECH, hotwords=kept, initialPrompt="one two", **mode, **QUICK)
    assert own["warnings"] == [each for each in result["warnings"] if each != notice]
    assert own["segments"] == result["segments"]


def _words_left_out(message: str) -> int:
    characters = int(message.partition("its last ")[2].partition(" ")[0])
    return len(MANY.strip()[-characters:].split())


@pytest.fixture(scope="module")
def model() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(MODEL), device="cpu", local_files_only=True)


TEXT = st.text(alphabet="left \n,世é", max_size=400)
MAYBE_TEXT = st.none() | TEXT


@settings(max_examples=300)
@given(
    initial=MAYBE_TEXT | st.lists(st.integers(0, 382), max_size=250),
    prefix=MAYBE_TEXT,
    hotwords=MAYBE_TEXT,
    wanted=st.none() | st.integers(1, 460),
    previous=st.integers(0, 500),
    first=st.booleans(),
)
def test_any_prompt_leaves_room_for_the_text(
    model: Any,
    initial: Any,
    prefix: str | None,
    hotwords: str | None,
    wanted: int | None,
    previous: int,
    first: bool,
) -> None:
    from faster_whisper.tokenizer import Tokenizer

    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    request = TranscribeParams(
        audio="", initial_prompt=initial, prefix=prefix, hotwords=hotwords, max_new_tokens=wanted
    )
    try:
        budget = PromptBudget(model, request, ())
    except RpcError as error:
        assert error.kind == "invalid_params"
        return
    own = tokenizer.encode(f" {initial.strip()}") if isinstance(initial, str) else initial or []
    before = own if first else list(range(100, 100 + previous % 200)) * 2
    for prefixed in (prefix, None):
        prompt = budget.bound(model).get_prompt(
            tokenizer, before, False, prefix=prefixed, hotwords=request.hotwords
        )
        assert len(prompt) <= MOST + 5
        assert len(prompt) + (wanted or 1) <= POSITIONS
        if first:  # all of the caller's own text, and the hotwords that are left
            text = tokenizer.decode(prompt)
            assert tokenizer.decode(own) in text
            assert (request.hotwords or "").strip() in text or prefixed
        else:  # the end of the text before
            words = "" if prefixed else request.hotwords
            hot = tokenizer.encode(f" {words.strip()}") if words else []
            kept = prompt[: prompt.index(tokenizer.sot)][1 + len(hot) :]
            assert kept == before[len(before) - len(kept) :]


def test_previous_text_gives_way_before_hotwords(model: Any) -> None:
    from faster_whisper.tokenizer import Tokenizer

    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    request = TranscribeParams(audio="", hotwords="left " * 60, max_new_tokens=300)
    hot = tokenizer.encode(" " + "left " * 59 + "left")
    assert PromptBudget(model, request, ()).notices == []
    previous = list(range(200, 350))
    prompt = (
        PromptBudget(model, request, ())
        .bound(model)
        .get_prompt(tokenizer, previous, True, hotwords=request.hotwords)
    )
    room = POSITIONS - 5 - 300 - len(hot)
    assert 0 < room < 150
    told = [tokenizer.sot_prev, *hot, *previous[-room:]]
    assert prompt == [*told, *tokenizer.sot_sequence, tokenizer.no_timestamps]
