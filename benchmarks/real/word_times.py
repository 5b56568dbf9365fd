"""`python -m benchmarks.real.word_times`: how far word times are off, ours and faster-whisper's.

The reference is the forced alignment of the English recordings' texts by pocketsphinx, which has
nothing in common with Whisper; its own times are good to some 20 ms, and some of its words are
misplaced on telephone speech. Where pocketsphinx could only fit a word by giving each sound its
minimum of 30 ms, that word and its neighbours are left out. Both sides align the same texts, those
of the manifest or (`--decoded`) the model's own, in windows of speech of at most 30 s, so that a
difference is the alignment's. `--heads` tries other heads than the model's configuration names.

pocketsphinx is in no requirements file: install it where this runs (`pip install pocketsphinx`).
`--recordings` names a directory as `python -m benchmarks.real` takes it.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.common import ROOT, say
from benchmarks.real.truth import Recording, load_manifest
from worker.audio import SAMPLE_RATE, decode
from worker.engines.recognition.whisper.word_times import (
    alignment_heads,
    silent_spans,
    time_words,
)

_MODELS: Final = ROOT / "build" / "models"
_RECORDINGS: Final = ROOT.parent / "shared" / "real"
_LONGEST: Final = 29.5  # seconds of a window
_LEAD: Final = 0.2  # seconds of a window before speech begins, and after it ends
_VAD_SAMPLES: Final = 512  # of one probability
_SHORTEST_SOUND: Final = 0.03  # seconds: three states of a frame each
_BEAMS: Final = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}  # wide: no word may be lost

Samples = npt.NDArray[np.float32]


class Spoken(NamedTuple):
    """A word, when it is said in seconds, and whether the time is reliable."""

    word: str
    start: float
    end: float
    reliable: bool = True


class Window(NamedTuple):
    """A part of a recording; times in seconds from the start of the recording."""

    start: float
    end: float
    text: str
    words: list[Spoken]


def main() -> int:
    """Measure, print the table, and return 0."""
    options = _arguments()
    try:
        pocketsphinx = importlib.import_module("pocketsphinx")
    except ModuleNotFoundError:
        say("pocketsphinx, the reference, is not installed here: pip install pocketsphinx")
        return 1
    aligner = pocketsphinx.Decoder(lm=None, loglevel="FATAL", samprate=SAMPLE_RATE, **_BEAMS)
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with _models(options) as (model, plain):
        for recording in load_manifest(options.recordings).values():
            if recording.language != "en" or not recording.text:
                continue
            samples = decode(str(recording.path))
            try:
                words = _reference(aligner, recording, samples)
            except ValueError as error:
                say(f"left out: {recording.id}: {error}")
                continue
            for name, found in _measure((model, plain), recording, samples, words, options.decoded):
                errors[name] += found
    print(f"{options.model.name}, {options.compute_type}, ms\n")
    print(
        "| | | words | mean | p50 | p95 | bias | within 50 ms |\n|---|---|--:|--:|--:|--:|--:|--:|"
    )
    for name, found in errors.items():
        for edge, values in zip(("starts", "ends"), np.array(found).T * 1000, strict=True):
            print(f"| {name} | {edge} | {_figures(values)} |")
    return 0


def _figures(values: npt.NDArray[np.float64]) -> str:
    off = np.abs(values)
    p50, p95 = np.percentile(off, [50, 95])
    return (
        f"{len(off)} | {off.mean():.0f} | {p50:.0f} | {p95:.0f} | {values.mean():+.0f}"
        f" | {100 * np.mean(off < 50):.0f} %"
    )


@contextmanager
def _models(options: argparse.Namespace) -> Iterator[tuple[Any, Any]]:
    """The model with the heads for small pieces, and with those of its configuration."""
    configuration = json.loads((options.model / "config.json").read_text("utf-8"))
    configured = configuration["alignment_heads"]
    heads = options.heads or alignment_heads(configured)
    plain = _load(options.model, options)
    if heads == configured:
        yield plain, plain
        return
    say(f"heads: {heads}")
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        for path in options.model.iterdir():
            if path.name != "config.json":
                (directory / path.name).symlink_to(path.resolve())
        changed = json.dumps(configuration | {"alignment_heads": heads})
        (directory / "config.json").write_text(changed, "utf-8")
        yield _load(directory, options), plain


def _load(directory: Path, options: argparse.Namespace) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(directory),
        device="cpu",
        compute_type=options.compute_type,
        cpu_threads=options.threads,
    )


def _reference(aligner: Any, recording: Recording, samples: Samples) -> list[Spoken]:
    """The words of the text in their order, as pocketsphinx aligns them."""
    words = [plain for plain in map(_plain, _written(recording.text)) if plain]
    unknown = sorted(word for word in set(words) if aligner.lookup_word(word) is None)
    if unknown:
        raise ValueError(f"pocketsphinx does not know {', '.join(unknown)}")
    aligner.set_align_text(" ".join(words))
    aligner.start_utt()
    aligner.process_raw(np.round(samples * 32767).astype("<i2").tobytes(), full_utt=True)
    aligner.end_utt()
    found = [
        (segment.word.split("(")[0], segment.start_frame / 100, (segment.end_frame + 1) / 100)
        for segment in aligner.seg()
        if segment.word[0] not in "<["
    ]
    if [word for word, _, _ in found] != words:
        raise ValueError("the alignment has other words")
    squeezed = [
        end - start <= _SHORTEST_SOUND * len(aligner.lookup_word(word).split()) + 1e-6
        for word, start, end in found
    ]
    return [Spoken(*found[i], not any(squeezed[max(0, i - 1) : i + 2])) for i in range(len(found))]


def _measure(
    models: tuple[Any, Any],
    recording: Recording,
    samples: Samples,
    words: list[Spoken],
    decoded: bool,
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """How far starts and ends are off, for each side and window."""
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.vad import get_vad_model

    model, plain = models
    multilingual = model.model.is_multilingual
    tokenizer = Tokenizer(
        model.hf_tokenizer, multilingual, task="transcribe" if multilingual else None, language="en"
    )
    padded = np.pad(samples, (0, _VAD_SAMPLES - len(samples) % _VAD_SAMPLES))
    speech = get_vad_model()(padded).reshape(-1)
    for window in _windows(words, recording.text, len(samples) / SAMPLE_RATE):
        part = samples[round(window.start * SAMPLE_RATE) : round(window.end * SAMPLE_RATE)]
        features = model.feature_extractor(part)[:, :3000]
        whole = np.zeros((1, features.shape[0], 3000), np.float32)
        whole[0, :, : features.shape[1]] = features
        encoded = model.encode(whole)
        tokens = tokenizer.encode(f" {window.text}")
        if decoded:
            prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
            (result,) = model.model.generate(encoded, [prompt], beam_size=5)
            tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        frames = len(part) * 100 // SAMPLE_RATE
        silences = silent_spans(speech, window.start, window.end)
        (ours,) = time_words(model, encoded, tokenizer, [tokens], [frames], [silences])
        (theirs,) = plain.find_alignment(tokenizer, [tokens], encoded, frames)
        for name, timed in (
            ("faster-whisper", [(word["word"], word["start"], word["end"]) for word in theirs]),
            ("ours", [(word.word, word.start, word.end) for word in ours]),
        ):
            yield name, list(_differences(window, timed))


def _windows(words: list[Spoken], text: str, duration: float) -> Iterator[Window]:
    """The recording, cut at its longest pauses into windows that the decoder takes."""
    written = [word for word in _written(text) if _plain(word)]
    todo = [(0, len(words))]
    while todo:
        first, stop = todo.pop(0)
        start = max(0.0, words[first].start - _LEAD)
        end = min(duration, words[stop - 1].end + _LEAD)
        if end - start > _LONGEST:
            pauses = range(first + 1, stop)
            cut = max(pauses, key=lambda i: (words[i].start - words[i - 1].end, -abs(2 * i - stop)))
            todo[:0] = [(first, cut), (cut, stop)]
            continue
        said = " ".join(written[first:stop])
        said = said.capitalize() if said.isupper() else said
        yield Window(start, end, said, words[first:stop])


def _differences(
    window: Window, timed: Sequence[tuple[str, float, float]]
) -> Iterator[tuple[float, float]]:
    true = [word.word for word in window.words]
    found = [_plain(word) for word, _, _ in timed]
    matcher = difflib.SequenceMatcher(None, true, found, autojunk=False)
    for a, b, count in matcher.get_matching_blocks():
        for said, (_, start, end) in zip(
            window.words[a : a + count], timed[b : b + count], strict=True
        ):
            if said.reliable:
                yield start + window.start - said.start, end + window.start - said.end


def _written(text: str) -> list[str]:
    return text.replace("-", " ").split()


def _plain(word: str) -> str:
    return re.sub(r"[^a-z']", "", word.lower())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, default=_RECORDINGS)
    parser.add_argument("--model", type=Path, default=_MODELS / "base", help="a directory")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoded", action="store_true", help="align the model's own text")
    parser.add_argument("--heads", type=json.loads, help="such as [[2,1]]: layer and head")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
