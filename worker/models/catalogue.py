"""The models that clients can name: their hub repository, languages, size, licence and gate.

Names are those of faster-whisper and whisperx; a test compares the tables. They are copied here so
that nothing has to import those packages to know them. Sizes are those of the published weights,
rounded; licences and gates are as the model pages state them, None where unknown.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.diarization import DEFAULT_DIARIZATION_MODEL
from protocol.errors import RpcError

if TYPE_CHECKING:
    from protocol.models import Task


_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_MB: Final = 1_000_000


class Entry(NamedTuple):
    """A model that clients can name."""

    task: Task
    name: str
    repository: str
    """A hub id, or `torchaudio/NAME` for one of torchaudio's bundles."""
    languages: tuple[str, ...]
    """Language codes; empty if the model works for any language."""
    size: int
    """Bytes of its weights on disk."""
    licence: str | None
    gated: bool = False


_CODES: Final = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he "
    "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne "
    "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk "
    "ur uz vi yi yo zh yue"
)
WHISPER_LANGUAGES: Final = tuple(_CODES.split())
"""Codes of the languages that Whisper recognises."""

_SYSTRAN = "Systran/faster-whisper-"
_DISTIL = "Systran/faster-distil-whisper-"
_TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
_WHISPER: Final = (  # name, repository, MB
    ("tiny", _SYSTRAN + "tiny", 76),
    ("tiny.en", _SYSTRAN + "tiny.en", 76),
    ("base", _SYSTRAN + "base", 145),
    ("base.en", _SYSTRAN + "base.en", 145),
    ("small", _SYSTRAN + "small", 484),
    ("small.en", _SYSTRAN + "small.en", 484),
    ("medium", _SYSTRAN + "medium", 1528),
    ("medium.en", _SYSTRAN + "medium.en", 1528),
    ("large-v1", _SYSTRAN + "large-v1", 3087),
    ("large-v2", _SYSTRAN + "large-v2", 3087),
    ("large-v3", _SYSTRAN + "large-v3", 3087),
    ("large", _SYSTRAN + "large-v3", 3087),
    ("large-v3-turbo", _TURBO, 1618),
    ("turbo", _TURBO, 1618),
    ("distil-small.en", _DISTIL + "small.en", 333),
    ("distil-medium.en", _DISTIL + "medium.en", 789),
    ("distil-large-v2", _DISTIL + "large-v2", 1513),
    ("distil-large-v3", _DISTIL + "large-v3", 1513),
    ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2", 1513),
)

_VOXPOPULI = "VOXPOPULI_ASR_BASE_10K_"
_BUNDLES: Final = {  # torchaudio's default per language: name, file, licence
    "en": ("WAV2VEC2_ASR_BASE_960H", "wav2vec2_fairseq_base_ls960_asr_ls960.pth", "mit"),
    **{
        code: (
            _VOXPOPULI + code.upper(),
            f"wav2vec2_voxpopuli_base_10k_asr_{code}.pt",
            "cc-by-nc-4.0",
        )
        for code in ("fr", "de", "es", "it")
    },
}
_MORE_BUNDLES: Final = {  # no language's default, all for English: name -> file
    "WAV2VEC2_ASR_BASE_10M": "wav2vec2_fairseq_base_ls960_asr_ll10m.pth",
    "WAV2VEC2_ASR_BASE_100H": "wav2vec2_fairseq_base_ls960_asr_ls100.pth",
    "WAV2VEC2_ASR_LARGE_10M": "wav2vec2_fairseq_large_ls960_asr_ll10m.pth",
    "WAV2VEC2_ASR_LARGE_100H": "wav2vec2_fairseq_large_ls960_asr_ls100.pth",
    "WAV2VEC2_ASR_LARGE_960H": "wav2vec2_fairseq_large_ls960_asr_ls960.pth",
    "WAV2VEC2_ASR_LARGE_LV60K_10M": "wav2vec2_fairseq_large_lv60k_asr_ll10m.pth",
    "WAV2VEC2_ASR_LARGE_LV60K_100H": "wav2vec2_fairseq_large_lv60k_asr_ls100.pth",
    "WAV2VEC2_ASR_LARGE_LV60K_960H": "wav2vec2_fairseq_large_lv60k_asr_ls960.pth",
    "VOXPOPULI_ASR_BASE_10K_EN": "wav2vec2_voxpopuli_base_10k_asr_en.pt",
    "HUBERT_ASR_LARGE": "hubert_fairseq_large_ll60k_asr_ls960.pth",
    "HUBERT_ASR_XLARGE": "hubert_fairseq_xlarge_ll60k_asr_ls960.pth",
}
_XLSR = "jonatasgrosman/wav2vec2-large-xlsr-53-"
_ALIGNMENT: Final = {
    "ja": _XLSR + "japanese",
    "zh": _XLSR + "chinese-zh-cn",
    "nl": _XLSR + "dutch",
    "uk": "Yehor/wav2vec2-xls-r-300m-uk-with-small-lm",
    "pt": _XLSR + "portuguese",
    "ar": _XLSR + "arabic",
    "cs": "comodoro/wav2vec2-xls-r-300m-cs-250",
    "ru": _XLSR + "russian",
    "pl": _XLSR + "polish",
    "hu": _XLSR + "hungarian",
    "fi": _XLSR + "finnish",
    "fa": _XLSR + "persian",
    "el": _XLSR + "greek",
    "tr": "mpoyraz/wav2vec2-xls-r-300m-cv7-turkish",
    "da": "saattrupdan/wav2vec2-xls-r-300m-ftspeech",
    "he": "imvladikon/wav2vec2-xls-r-300m-hebrew",
    "vi": "nguyenvulebinh/wav2vec2-base-vi-vlsp2020",
    "ko": "kresnik/wav2vec2-large-xlsr-korean",
    "ur": "kingabzpro/wav2vec2-large-xls-r-300m-Urdu",
    "te": "anuragshas/wav2vec2-large-xlsr-53-telugu",
    "hi": "theainerd/Wav2Vec2-large-xlsr-hindi",
    "ca": "softcatala/wav2vec2-large-xlsr-catala",
    "ml": "gvs/wav2vec2-large-xlsr-malayalam",
    "no": "NbAiLab/nb-wav2vec2-1b-bokmaal-v2",
    "nn": "NbAiLab/nb-wav2vec2-1b-nynorsk",
    "sk": "comodoro/wav2vec2-xls-r-300m-sk-cv8",
    "sl": "anton-l/wav2vec2-large-xlsr-53-slovenian",
    "hr": "classla/wav2vec2-xls-r-parlaspeech-hr",
    "ro": "gigant/romanian-wav2vec2",
    "eu": "stefan-it/wav2vec2-large-xlsr-53-basque",
    "gl": "ifrz/wav2vec2-large-xlsr-galician",
    "ka": "xsway/wav2vec2-large-xlsr-georgian",
    "lv": "jimregan/wav2vec2-large-xlsr-latvian-cv",
    "tl": "Khalsuu/filipino-wav2vec2-l-xls-r-300m-official",
    "sv": "KBLab/wav2vec2-large-voxrex-swedish",
    "id": "cahya/wav2vec2-large-xlsr-indonesian",
}
_BASE_SIZE: Final = 378 * _MB
_LARGE_SIZE: Final = 1262 * _MB
_BILLION_SIZE: Final = 3850 * _MB


def _entries() -> tuple[Entry, ...]:
    rows = [
        Entry(
            "recognition",
            name,
            repository,
            # Distilled models have the tokens of all languages, but were trained on English only.
            ("en",) if name.endswith(".en") or "distil" in name else WHISPER_LANGUAGES,
            megabytes * _MB,
            "mit",
        )
        for name, repository, megabytes in _WHISPER
    ]
    rows += [
        Entry("alignment", name, f"torchaudio/{name}", (language,), _BASE_SIZE, licence)
        for language, (name, _, licence) in _BUNDLES.items()
    ]
    for name in _MORE_BUNDLES:
        size = _LARGE_SIZE if "LARGE" in name else _BASE_SIZE
        size = _BILLION_SIZE if "XLARGE" in name else size
        rows.append(Entry("alignment", name, f"torchaudio/{name}", ("en",), size, None))
    for language, repository in _ALIGNMENT.items():
        size = _BILLION_SIZE if "-1b-" in repository else _LARGE_SIZE
        size = _BASE_SIZE if "-base-" in repository else size
        rows.append(Entry("alignment", repository, repository, (language,), size, None))
    community, version_3 = DEFAULT_DIARIZATION_MODEL, "pyannote/speaker-diarization-3.1"
    rows.append(Entry("diarization", community, community, (), 33 * _MB, "cc-by-4.0", True))
    rows.append(Entry("diarization", version_3, version_3, (), 33 * _MB, "mit", True))
    return tuple(rows)


ENTRIES: Final = _entries()
_BY_NAME: Final = {entry.name: entry for entry in ENTRIES}
_ALIGNERS: Final = {**{code: name for code, (name, _, _) in _BUNDLES.items()}, **_ALIGNMENT}
_BUNDLE_FILES: Final = {**{name: file for name, file, _ in _BUNDLES.values()}, **_MORE_BUNDLES}


def find(name: str) -> Entry | None:
    """The model of that name, if it is in the catalogue."""
    return _BY_NAME.get(name)


def is_hub_id(name: str) -> bool:
    """Whether `name` looks like `owner/name`."""
    return bool(_HUB_ID.fullmatch(name)) and not name.startswith(".")


def torchaudio_file(name: str) -> str | None:
    """The file in which torchaudio keeps a bundle's weights; None if there is no such bundle."""
    return _BUNDLE_FILES.get(name)


def repository(task: Task, name: str) -> str:
    """The hub id of a model's name. Raises `RpcError` of kind model_not_found."""
    entry = _BY_NAME.get(name)
    if entry and entry.task == task:
        return entry.repository
    # `owner/name` could also mean a missing directory; a hub id is likelier.
    if is_hub_id(name):
        return name
    if task != "recognition" or "/" in name or os.sep in name:
        raise RpcError("model_not_found", f"The model directory {name} does not exist.", model=name)
    known = sorted(entry.name for entry in ENTRIES if entry.task == task)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise RpcError("model_not_found", f"There is no model {name}.{hint}", model=name, known=known)


def aligner(language: str) -> str:
    """whisperX's default model for a language; raises `RpcError` of kind language_unsupported."""
    if language not in _ALIGNERS:
        raise RpcError(
            "language_unsupported",
            f"There is no default alignment model for the language {language}.",
            remedy="Give a wav2vec2 CTC model for the language, as a hub id or a directory: "
            '"align": {"model": …} in transcribe, "model" in align.',
            language=language,
            known=sorted(_ALIGNERS),
        )
    return _ALIGNERS[language]
