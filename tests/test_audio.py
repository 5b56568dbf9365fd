"""Decoding: the samples are those that faster-whisper would decode itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from tests.support import RECORDINGS, encode, samples_of, write_wav
from worker.audio import SAMPLE_RATE, decode


@pytest.mark.parametrize(
    ("suffix", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("m4a", "aac")]
)
def test_samples_equal_those_of_faster_whisper(tmp_path: Path, suffix: str, codec: str) -> None:
    file = encode(tmp_path / f"a.{suffix}", samples_of("en-05.flac"), codec)
    np.testing.assert_array_equal(decode(str(file)), decode_audio(str(file)))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_other_rates_and_channels_become_16_khz_mono(tmp_path: Path, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    file = write_wav(tmp_path / "tone.wav", np.repeat(tone, 2), rate=rate, channels=2)
    samples = decode(str(file))
    assert len(samples) / SAMPLE_RATE == pytest.approx(2, abs=0.002)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(440, abs=1)


def test_a_clip_has_exactly_its_samples() -> None:
    file = str(RECORDINGS / "demo.flac")
    whole = decode(file)
    clip = decode(file, start=33.25, end=41.5)
    np.testing.assert_array_equal(clip, whole[round(33.25 * SAMPLE_RATE) : round(41.5 * 16000)])
    np.testing.assert_array_equal(decode(file, start=70), whole[70 * SAMPLE_RATE :])


def test_one_channel_is_decoded_unmixed(tmp_path: Path) -> None:
    stereo = np.zeros((SAMPLE_RATE, 2), np.int16)
    stereo[:, 0], stereo[:, 1] = 1000, -3000
    file = str(write_wav(tmp_path / "stereo.wav", stereo, channels=2))
    for channel, value in ((0, 1000), (1, -3000)):
        np.testing.assert_allclose(decode(file, channel=channel), value / 32768)


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    for size in (0, 0xFFFFFFFF):
        file = write_wav(tmp_path / "open.wav", samples_of("en-01.flac"))
        content = bytearray(file.read_bytes())
        content[40:44] = size.to_bytes(4, "little")
        file.write_bytes(content)
        assert len(decode(str(file))) == len(samples_of("en-01.flac"))
