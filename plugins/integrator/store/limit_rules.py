"""What the table of limits and its twin in memory must decide alike: who may call when, given what is kept of a credential.

Nothing in what is kept is trusted after a clock has jumped: an instant in the future is brought back to the furthest
that this code would have written.
"""

from __future__ import annotations

from typing import Any

from integrator.model.limit import Ask, Grant, Rule

State = dict[str, Any]
"""What is kept of one credential: `paused`, an instant; `paced`, rule -> instant of the next free start; `counted`, rule ->
bucket -> calls; `places`, holder -> [granted, wanted, waiting since, lease's end]."""
PAUSE_MAX_S = 3600.0
"""A pause that one worker was told holds the others for at most so long; then one of them asks anew."""
BUCKETS = 20
AHEAD_S = 5.0
"""Starts are given out so far ahead, and two spacings more; who comes later asks again."""
SOON_S = 0.02
WAITING_LEASE_S = 5.0
"""Who waits for a place asks several times a second; who has stopped asking is not waited for."""


def decide(kept: State, ask: Ask, now: float) -> tuple[State, Grant]:
    """Return what is to be kept from now on, and what the asker gets."""
    places, contended, seats = _seat(kept.get("places", {}), ask, now)
    paused_s = min(float(kept.get("paused", 0.0)) - now, PAUSE_MAX_S)
    paced: dict[str, float] = dict(kept.get("paced", {}))
    counted: dict[str, dict[str, int]] = {rule.name: _fresh(kept, rule, now) for rule in ask.rules if not rule.paced}
    free = ask.calls if places is None else min(ask.calls, max(0, places - ask.used))
    starts: tuple[float, ...] = ()
    wait_s = 0.0
    if ask.calls and paused_s > 0:
        wait_s = paused_s
    elif free:
        allowed, wait_s = _countable(counted, ask, free, now)
        starts, paced_wait_s = _spaced(paced, ask, allowed, now)
        wait_s = max(wait_s, paced_wait_s)
        for rule in ask.rules:
            if not rule.paced and starts:
                bucket = str(_bucket(rule, now))
                counted[rule.name][bucket] = counted[rule.name].get(bucket, 0) + len(starts)
    after: State = {"paced": paced, "counted": counted, "places": seats}
    if paused_s > 0:
        after["paused"] = now + paused_s
    return after, Grant(now, starts, 0.0 if starts else wait_s, places, contended)


def pause(kept: State, seconds: float, now: float) -> State:
    """Return what is to be kept once somebody was told to wait; a pause is made longer, never shorter."""
    before = min(float(kept.get("paused", 0.0)), now + PAUSE_MAX_S)
    return {**kept, "paused": max(before, now + min(max(seconds, 0.0), PAUSE_MAX_S))}


def give_back(kept: State, ask: Ask, unused: tuple[float, ...], now: float) -> State:
    """Return what is to be kept once a holder has gone and leaves these starts unused."""
    places = {name: one for name, one in kept.get("places", {}).items() if name != ask.holder}
    paced, counted = dict(kept.get("paced", {})), {name: dict(one) for name, one in kept.get("counted", {}).items()}
    for rule in ask.rules if unused else ():
        if rule.paced and abs(paced.get(rule.name, 0.0) - unused[-1] - rule.spacing_s) < 1e-3:  # nobody came after it
            paced[rule.name] = unused[0]
        elif not rule.paced and counted.get(rule.name):
            last = max(counted[rule.name], key=int)
            counted[rule.name][last] = max(0, counted[rule.name][last] - len(unused))
    return {**kept, "places": places, "paced": paced, "counted": counted}


def _width_s(rule: Rule) -> float:
    return (rule.per_s + rule.margin_s) / BUCKETS


def _bucket(rule: Rule, now: float) -> int:
    return int(now // _width_s(rule))


def _fresh(kept: State, rule: Rule, now: float) -> dict[str, int]:
    """Return the calls of the buckets that still count; those of a future that a clock has taken back count as of now."""
    this = _bucket(rule, now)
    fresh: dict[str, int] = {}
    for name, calls in kept.get("counted", {}).get(rule.name, {}).items():
        number = min(int(name), this)
        if number > this - BUCKETS - 1:
            fresh[str(number)] = fresh.get(str(number), 0) + calls
    return fresh


def _countable(counted: dict[str, dict[str, int]], ask: Ask, wanted: int, now: float) -> tuple[int, float]:
    """Return how many calls the counted rules allow now, and the seconds until they allow one."""
    allowed, wait_s = wanted, 0.0
    for rule in ask.rules:
        if rule.paced:
            continue
        buckets = counted[rule.name]
        left = rule.calls - sum(buckets.values())
        allowed = min(allowed, max(0, left))
        if left <= 0:
            oldest = min(int(name) for name, calls in buckets.items() if calls)
            wait_s = max(wait_s, (oldest + BUCKETS + 1) * _width_s(rule) - now + SOON_S)
    return allowed, wait_s


def _spaced(paced: dict[str, float], ask: Ask, allowed: int, now: float) -> tuple[tuple[float, ...], float]:
    """Return when calls may start so that every paced rule holds, and the seconds until one may be given out."""
    rules = [rule for rule in ask.rules if rule.paced]
    begin = now + min(max(ask.lead_s, 0.0), 1.0)
    if not rules:
        return (now,) * allowed, 0.0
    furthest = min(AHEAD_S + 2 * rule.spacing_s for rule in rules)
    for rule in rules:
        paced[rule.name] = min(paced.get(rule.name, 0.0), now + AHEAD_S + 4 * rule.spacing_s)
    starts: list[float] = []
    wait_s = 0.0
    for _ in range(allowed):
        start = max(begin, *(paced[rule.name] for rule in rules))
        if start > now + furthest:
            wait_s = start - now - furthest + SOON_S
            break
        starts.append(start)
        for rule in rules:
            paced[rule.name] = start + rule.spacing_s
    return tuple(starts), wait_s


def _seat(kept: dict[str, list[float]], ask: Ask, now: float) -> tuple[int | None, bool, dict[str, list[float]]]:
    """Return the asker's places, whether somebody else waits for one, and every living holder's entry.

    Each holder has a claim to its share; what nobody claims goes to whoever asks. Where there are fewer places than
    holders, whoever has waited longest is next.
    """
    if ask.in_flight is None:
        return None, False, {}
    cap = ask.in_flight
    others = {
        name: [granted, wanted, min(since, now), min(until, now + ask.lease_s)]
        for name, (granted, wanted, since, until) in kept.items()
        if name != ask.holder and until > now
    }
    share = max(1, cap // (1 + sum(1 for one in others.values() if one[1] > 0)))
    waiting = {name: min(one[1], share) - one[0] for name, one in others.items() if one[0] < min(one[1], share)}
    granted, _wanted, since, _until = kept.get(ask.holder, [0, 0, now, 0])
    since = now if granted else min(since, now)  # whoever had a place stands at the end again
    owed = sum(short for name, short in waiting.items() if others[name][2] < since or ask.used + 1 > share)
    free = cap - sum(one[0] for one in others.values())
    places = int(max(ask.used, min(ask.wanted, free - owed)))
    lease_s = ask.lease_s if places else min(ask.lease_s, WAITING_LEASE_S)
    seats = {**others, ask.holder: [places, ask.wanted, since, now + lease_s]}
    if not ask.wanted and not ask.used:
        seats.pop(ask.holder)
    return places, bool(waiting), seats
