"""Places frames on the recording's clock, by their time stamps.

The clock is a player's: it starts where the container starts, and runs on where no audio is stored.
A track that begins late, and a hole in the time stamps, become silence; frames that overlap what
came before are cut. So a word has the time at which a player plays it, as with FFmpeg's
`aresample=async=1:first_pts=0`.

Time stamps can be wrong. A single one that is out of line counts as none. A jump that no recording
explains moves the clock, instead of making a day of silence; so do time stamps that hardly advance
(converters write such when they are set back), because cutting those frames would lose speech.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TOLERANCE: Final = 0.05
"""Seconds that a time stamp may be off: containers round them, and codecs add some samples."""
_ROUNDING: Final = 0.01
LONGEST_HOLE: Final = 3600.0
"""Seconds; a longer hole is a broken time stamp."""
LONGEST_RESTART: Final = 10.0
"""Seconds, FFmpeg's `dts_delta_threshold`: in containers whose clock may start anew, a longer hole
is such a new start."""
LONGEST_OVERLAP: Final = 10.0
"""Seconds; frames that lie further back are not an overlap but a clock that was set back."""


class Placed(NamedTuple):
    """What to do before a frame: write silence, or cut the frame's beginning. Seconds."""

    silence: float = 0.0
    cut: float = 0.0
    off: float = 0.0
    """How far the time stamp is from where the frame before ended."""
    is_wrong: bool = False
    """Whether the time stamp is not followed, and later ones count from this one."""


class Clock:
    """Follows the time stamps of one track, in seconds.

    `origin` is the time stamp of the container's start. `restarts` says whether the container's
    clock may start anew within a recording (MPEG-TS, chained Ogg).
    """

    def __init__(self, origin: float = 0.0, *, restarts: bool = False) -> None:
        self.position = 0.0
        """Seconds from the container's start: where the next frame goes if it follows at once."""
        self._restarts = restarts
        self._shift = -origin

    def runs_on(self, time: float | None, length: float) -> bool:
        """Whether the next frame follows at once; if so, place it.

        The arguments are as those of `place`, which any other frame needs.
        """
        off = 0.0 if time is None else time + self._shift - self.position
        if not -TOLERANCE <= off <= TOLERANCE:
            return False
        self.position += length
        return True

    def place(
        self, time: float | None, length: float, following: float | None, *, exactly: bool = False
    ) -> Placed:
        """Place the next frame, of `length` seconds and with the time stamp `time`.

        `following` is the time stamp of the frame after it. None means that there is none. With
        `exactly`, small holes are filled too: lost audio leaves them.
        """
        placed = Placed()
        off = 0.0 if time is None else time + self._shift - self.position
        if exactly and _ROUNDING < off <= TOLERANCE:
            placed = Placed(silence=off, off=off)
        elif time is not None and abs(off) > TOLERANCE:
            placed = self._follow(off, time, length, following)
        if placed.is_wrong:
            self._shift -= off
        self.position += placed.silence + length - placed.cut
        return placed

    def lose(self, seconds: float) -> None:
        """Take the time stamps after here for later: they do not count audio that was lost."""
        self._shift += seconds

    def _follow(self, off: float, time: float, length: float, following: float | None) -> Placed:
        crawls = False
        if following is not None:
            if abs(following + self._shift - self.position - length) <= TOLERANCE:
                return Placed()  # the next frame goes on as if this one's time stamp were not there
            crawls = following - time < length / 2
        may_restart = self._restarts and self.position > 0
        longest_hole = LONGEST_RESTART if may_restart else LONGEST_HOLE
        longest_overlap = 2 * TOLERANCE if may_restart else LONGEST_OVERLAP
        if not -longest_overlap <= off <= longest_hole or (off < 0 and crawls):
            return Placed(off=off, is_wrong=True)
        if off > 0:
            return Placed(silence=off, off=off)
        return Placed(cut=min(length, -off), off=off)
