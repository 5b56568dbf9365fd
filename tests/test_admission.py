"""Who may be loaded and who has to leave, as properties of the decisions over many snapshots."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

import pytest

from worker.managers.admission import (
    Candidate,
    Decision,
    Holder,
    Idle,
    Room,
    decide,
    find_lack,
    keep_alive,
    next_to_leave,
    refusal,
)
from worker.managers.memory import Estimate

AMPLE = Room(max_loaded=100, budget=None, used=0, available=10**6, device_free=10**6)
SEEDS = range(400)


def candidate(**changes: Any) -> Candidate:
    return Candidate("new", helper=False, needed=Estimate(100, 0), device=None)._replace(**changes)


def holder(key: str, **changes: Any) -> Holder:
    """An idle model without a lease, which takes what was expected of it."""
    return Holder(
        key=key.encode(),
        helper=False,
        resident=100,
        reserved=0,
        expected=Estimate(100, 0),
        device=None,
        running=False,
        leases=0,
        claims=0,
        idle_since=0.0,
    )._replace(**changes)


def ask(
    others: Collection[Holder],
    room: Room,
    wanted: Candidate | None = None,
    claimed: Collection[bytes] = (),
    may_evict_leased: bool = True,
) -> Decision:
    wanted = wanted or candidate()
    return decide(wanted, others, room, claimed, may_evict_leased=may_evict_leased)


def scene(seed: int) -> tuple[Candidate, list[Holder], Room, list[bytes]]:
    """A pool in any state, and a candidate."""
    rng = random.Random(seed)

    def one(number: int) -> Holder:
        device = rng.choice([None, 0, 1])
        return holder(
            str(number),
            helper=device is None and rng.random() < 0.2,
            resident=rng.randrange(200),
            reserved=rng.choice([0, 0, 0, 150]),
            expected=Estimate(rng.randrange(200), 0 if device is None else rng.randrange(200)),
            device=device,
            running=rng.random() < 0.4,
            leases=rng.choice([0, 0, 1, 3]),
            claims=rng.choice([0, 0, 1]),
            idle_since=rng.random(),
        )

    others = [one(number) for number in range(rng.randrange(6))]
    device = rng.choice([None, 0, 1])
    wanted = candidate(
        helper=device is None and rng.random() < 0.2,
        needed=Estimate(rng.randrange(300), 0 if device is None else rng.randrange(300)),
        device=device,
    )
    budget = rng.choice([None, rng.randrange(900)])
    room = Room(rng.randrange(1, 7), budget, 10, rng.randrange(900), rng.randrange(400))
    claimed = [each.key for each in others if each.claims and rng.random() < 0.5]
    return wanted, others, room, claimed


@pytest.mark.parametrize("may_evict_leased", [True, False])
def test_in_every_state_the_decision_keeps_the_rules(may_evict_leased: bool) -> None:
    seen = set()
    for seed in SEEDS:
        wanted, others, room, claimed = scene(seed)
        decision = ask(others, room, wanted, claimed, may_evict_leased)
        by_key = {each.key: each for each in others}
        chosen = by_key.get(decision.key)
        seen.add(decision.action)
        assert (decision.action == "admit") == (find_lack(wanted, others, room) is None)
        if decision.action == "evict":
            assert chosen
            assert not chosen.running
            assert not chosen.reserved
            assert may_evict_leased or not chosen.leases
        elif decision.action == "claim":
            assert chosen
            assert chosen.running or chosen.reserved
            assert may_evict_leased
        elif decision.action == "wait":
            assert may_evict_leased
            assert claimed
        elif decision.action == "refuse":
            assert decision.lack
    refused = {"refuse", "wait", "claim"} if may_evict_leased else {"give_up"}
    assert seen == {"admit", "evict"} | refused


def test_a_victim_takes_some_of_what_is_missing() -> None:
    for seed in SEEDS:
        wanted, others, room, claimed = scene(seed)
        lack = find_lack(wanted, others, room)
        chosen = {each.key: each for each in others}.get(ask(others, room, wanted, claimed).key)
        if lack and chosen and lack.of == "models":
            assert not chosen.helper
        elif lack and chosen and lack.of == "device":
            assert chosen.device == wanted.device
            assert chosen.expected.device


def test_evicting_one_after_another_ends_in_admission_or_refusal() -> None:
    for seed in SEEDS:
        wanted, others, room, claimed = scene(seed)
        for _ in range(len(others) + 1):
            others = [each._replace(running=False, reserved=0) for each in others]
            decision = ask(others, room, wanted, claimed)
            if decision.action != "evict":
                break
            gone = next(each for each in others if each.key == decision.key)
            others.remove(gone)
            room = room._replace(
                available=room.available + gone.resident,
                device_free=room.device_free
                + (gone.expected.device if gone.device == wanted.device else 0),
            )
        assert decision.action in ("admit", "refuse")


def test_the_one_unused_for_longest_leaves_and_leased_ones_last() -> None:
    full = AMPLE._replace(budget=250)
    old, new = holder("old", idle_since=1.0), holder("new", idle_since=2.0)
    assert ask([new, old], full) == Decision("evict", b"old")
    assert ask([new, old._replace(leases=1)], full) == Decision("evict", b"new")
    assert ask([new, old._replace(running=True)], full) == Decision("evict", b"new")
    # It was waited for: that must not have been in vain.
    assert ask([new._replace(leases=1), old], full, claimed=[b"new"]) == Decision("evict", b"new")


def test_the_holder_with_the_fewest_claims_is_claimed() -> None:
    full = AMPLE._replace(budget=250)
    busy = [holder("a", running=True, claims=1), holder("b", running=True, idle_since=5.0)]
    assert ask(busy, full) == Decision("claim", b"b")
    assert ask(busy, full, claimed=[b"b"]) == Decision("wait")


def test_a_candidate_that_may_not_evict_leased_models_gives_up() -> None:
    full = AMPLE._replace(budget=150)
    for other in (holder("a", leases=1), holder("a", running=True), holder("a", reserved=100)):
        assert ask([other], full, may_evict_leased=False) == Decision("give_up")
    assert ask([holder("a")], full, may_evict_leased=False) == Decision("evict", b"a")


@pytest.mark.parametrize(
    ("room", "wanted", "available"),
    [
        (AMPLE._replace(budget=110, used=11), candidate(), 99),
        (AMPLE._replace(available=99), candidate(), 99),
        (AMPLE._replace(device_free=9), candidate(needed=Estimate(1, 10), device=0), 9),
    ],
    ids=["budget", "memory", "device"],
)
def test_a_model_that_does_not_fit_even_alone_is_refused_with_the_figures(
    room: Room, wanted: Candidate, available: int
) -> None:
    decision = ask([], room, wanted)
    assert decision.action == "refuse"
    assert decision.lack
    error = refusal(wanted, decision.lack)
    assert error.kind == "model_does_not_fit"
    assert (error.data["model"], error.data["available"]) == ("new", available)
    assert ("remedy" in error.data and "cpu" in error.data["remedy"]) == (wanted.device == 0)


def test_helpers_do_not_count_as_models_and_no_estimate_refuses_them() -> None:
    one = AMPLE._replace(max_loaded=1)
    assert ask([holder("h", helper=True)], one).action == "admit"
    assert ask([holder("m")], one, candidate(helper=True)).action == "admit"
    both = [holder("h", helper=True, idle_since=0.0), holder("m", idle_since=9.0)]
    assert ask(both, one) == Decision("evict", b"m")
    little = AMPLE._replace(available=5)
    assert ask([], little, candidate(helper=True)).action == "admit"
    budget = AMPLE._replace(budget=5)
    assert ask([], budget, candidate(helper=True)).action == "refuse"


def test_those_at_work_keep_room_to_grow_and_the_idle_do_not() -> None:
    room = AMPLE._replace(budget=250)
    growing = holder("a", resident=20, expected=Estimate(160, 0))
    assert ask([growing], room).action == "admit"
    assert ask([growing._replace(running=True)], room).action == "claim"
    assert ask([growing._replace(resident=0, reserved=160)], room).action == "claim"


def test_memory_of_a_device_is_granted_once_and_only_its_own_models_free_it() -> None:
    room = AMPLE._replace(device_free=100)
    wanted = candidate(needed=Estimate(1, 60), device=0)
    here = holder("here", device=0, expected=Estimate(1, 60))
    assert ask([here], room, wanted).action == "admit"  # its memory is not free any more
    assert ask([here._replace(reserved=1)], room, wanted) == Decision("claim", b"here")
    there = holder("there", device=1, expected=Estimate(1, 60))
    assert ask([there._replace(reserved=1)], room, wanted).action == "admit"
    full = room._replace(device_free=0)
    assert ask([there, holder("cpu")], full, wanted).action == "refuse"
    assert ask([there, here], full, wanted) == Decision("evict", b"here")


def test_keep_alive_is_the_last_jobs_and_short_for_helpers() -> None:
    assert keep_alive(None, 300.0, helper=False) == 300.0
    assert keep_alive(0.0, 300.0, helper=False) == 0.0
    assert keep_alive(None, 300.0, helper=True) == 30.0
    assert keep_alive(5.0, 300.0, helper=True) == 5.0


def test_expired_models_leave_first_then_the_longest_unused() -> None:
    old, expired = Idle(b"old", 1.0, 99.0), Idle(b"expired", 2.0, 10.0)
    assert next_to_leave([old, expired], 5.0, over_budget=False) is None
    for over_budget in (True, False):
        leaving = next_to_leave([old, expired], 10.0, over_budget=over_budget)
        assert leaving
        assert leaving[0] is expired
    leaving = next_to_leave([expired, old], 5.0, over_budget=True)
    assert leaving
    assert leaving[0] is old
    assert next_to_leave([], 5.0, over_budget=True) is None
