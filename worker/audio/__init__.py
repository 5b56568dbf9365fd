"""Reads audio and video files as samples: mono, 16 kHz.

`Reading` reads one recording. Its parts:

- files: which bytes FFmpeg may read, and what bounds them;
- tracks: which audio track;
- packets: decodes one packet at a time, so that a damaged one costs only itself;
- clock: where each frame belongs in the recording, by its time stamp;
- blocks: resamples and mixes;
- extent: how long the file says that it is, and whether it was cut;
- matroska, flv, ogg, transport_stream: what these containers tell of missing parts;
- mending: structure that is rotten, corrected as FFmpeg reads it.
"""

from worker.audio.blocks import SAMPLE_RATE, Channels, Samples, to_float
from worker.audio.files import check_file
from worker.audio.reading import Reading, decode, estimated_duration

__all__ = [
    "SAMPLE_RATE",
    "Channels",
    "Reading",
    "Samples",
    "check_file",
    "decode",
    "estimated_duration",
    "to_float",
]
