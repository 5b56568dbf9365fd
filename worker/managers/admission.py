"""Who may load a model and who has to leave memory for it: decisions over snapshots, without state.

The pool takes a snapshot under its lock, asks here, and acts under the same lock. A model may be
loaded when the number of models, the memory budget, the machine's memory and the memory of its
CUDA device allow it. Where one of them does not, an idle model leaves whose leaving helps: before
all others one that was claimed, then one without a lease, then the one unused for longest. If all
that would help are at work, one of them is claimed: it takes no further work after its present
item. A model is refused only when no other could leave for it. `tests/test_admission.py` states
these rules as properties.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal, NamedTuple

from protocol.errors import RpcError
from worker.managers.memory import Estimate

HELPER_KEEP_ALIVE: Final = 30.0
"""Seconds; a helper starts quickly, and is not worth its memory for longer."""


class Candidate(NamedTuple):
    """A model that is to be loaded."""

    name: str
    helper: bool
    needed: Estimate
    device: int | None
    """Index of its CUDA device; None on the CPU."""


class Holder(NamedTuple):
    """Another engine that takes memory, or is about to. Sizes in bytes."""

    key: bytes
    helper: bool
    resident: int
    """What its process takes now."""
    reserved: int
    """What it was granted and may not use yet."""
    expected: Estimate
    """What it takes at its highest."""
    device: int | None
    running: bool
    """It works, or its engine is being ended."""
    leases: int
    claims: int
    """How many candidates wait for it to leave."""
    idle_since: float


class Room(NamedTuple):
    """What the engines may take together. Sizes in bytes."""

    max_loaded: int
    budget: int | None
    used: int
    """Resident memory of the front and of downloads, which counts towards the budget."""
    available: int
    """Memory of the machine that is free, less the reserve for other programs."""
    device_free: int
    """Free memory of the candidate's CUDA device."""


class Lack(NamedTuple):
    """What is missing for a candidate."""

    of: Literal["models", "budget", "memory", "device"]
    needed: int
    available: int


class Decision(NamedTuple):
    """What the pool has to do next for a candidate.

    `evict` ends the engine of `key`, `claim` lets it take no further work; then the pool asks
    again, as it does after `wait`. `give_up` and `refuse` end the attempt.
    """

    action: Literal["admit", "evict", "claim", "wait", "give_up", "refuse"]
    key: bytes = b""
    lack: Lack | None = None


class Idle(NamedTuple):
    """An engine that nobody uses or waits for. Times are of the monotonic clock."""

    key: bytes
    idle_since: float
    expires_at: float


def decide(
    candidate: Candidate,
    others: Collection[Holder],
    room: Room,
    claimed: Collection[bytes],
    *,
    may_evict_leased: bool,
) -> Decision:
    """The next step towards loading `candidate`; `claimed` holds the keys that it has claimed.

    Without `may_evict_leased` the candidate gives up where it would have to wait, or another job's
    model would have to leave.
    """
    lack = find_lack(candidate, others, room)
    if lack is None:
        return Decision("admit")
    helpful = [each for each in others if _helps(each, lack, candidate)]
    victim = min(
        (each for each in helpful if not each.running and not each.reserved),
        key=lambda each: (each.key not in claimed, each.leases > 0, each.idle_since),
        default=None,
    )
    if not may_evict_leased and (victim is None or victim.leases > 0):
        return Decision("give_up")
    if victim is not None:
        return Decision("evict", victim.key)
    if not helpful:
        return Decision("refuse", lack=lack)
    if any(each.key in claimed for each in helpful):
        return Decision("wait")
    return Decision("claim", min(helpful, key=lambda each: (each.claims, each.idle_since)).key)


def find_lack(candidate: Candidate, others: Collection[Holder], room: Room) -> Lack | None:
    """What is missing for `candidate` to be loaded beside `others`; None when it fits."""
    models = sum(not each.helper for each in others)
    if not candidate.helper and models >= room.max_loaded:
        return Lack("models", models + 1, room.max_loaded)
    need, device = candidate.needed, candidate.device
    # Those at work may grow to what they were granted, or are expected to take.
    growth = sum(
        max(0, max(each.reserved, each.expected.system) - each.resident)
        for each in others
        if each.running or each.reserved
    )
    if room.budget is not None:
        left = room.budget - room.used - sum(each.resident for each in others) - growth
        if need.system > left:
            return Lack("budget", need.system, left)
    left = room.available - growth
    # An estimate for a helper could refuse it on a machine on which it would just run.
    if not candidate.helper and need.system > left:
        return Lack("memory", need.system, left)
    if device is not None:
        granted = (each for each in others if each.reserved and each.device == device)
        left = room.device_free - sum(each.expected.device for each in granted)
        if need.device > left:
            return Lack("device", need.device, left)
    return None


def _helps(holder: Holder, lack: Lack, candidate: Candidate) -> bool:
    """Whether `holder` takes any of what is missing."""
    if lack.of == "models":
        return not holder.helper
    return lack.of != "device" or (holder.device == candidate.device and holder.expected.device > 0)


def refusal(candidate: Candidate, lack: Lack) -> RpcError:
    """The error for a model that would not fit even alone."""
    available, remedy = max(0, lack.available), None
    if lack.of == "models":
        message = f"{lack.needed - 1} models are loaded, and no more may be."
        remedy = "Start the worker with a larger --max-models."
    else:
        of = {"budget": "the memory budget", "memory": "memory"}.get(
            lack.of, f"CUDA device {candidate.device}"
        )
        message = (
            f"The model {candidate.name} is expected to need {lack.needed / 1e6:,.0f} MB of {of}; "
            f"{available / 1e6:,.0f} MB are left for it."
        )
    if lack.of == "device":
        remedy = (
            'Use device "cpu", a smaller model or computeType int8, or end other programs on the '
            "device."
        )
    return RpcError(
        "model_does_not_fit",
        message,
        remedy=remedy,
        model=candidate.name,
        needed=lack.needed,
        available=available,
    )


def keep_alive(wished: float | None, default: float, *, helper: bool) -> float:
    """Seconds that an idle engine stays; `wished` by the job that used it last."""
    seconds = default if wished is None else wished
    return min(seconds, HELPER_KEEP_ALIVE) if helper else seconds


def next_to_leave(
    idle: Iterable[Idle], now: float, *, over_budget: bool
) -> tuple[Idle, str] | None:
    """The idle engine to end now, and why; None when all may stay."""
    idle = list(idle)
    for each in idle:
        if each.expires_at <= now:
            return each, "nobody asked for it for long enough"
    if idle and over_budget:
        longest = min(idle, key=lambda each: each.idle_since)
        return longest, "the memory budget is exceeded"
    return None
