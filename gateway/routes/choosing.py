"""Which target is asked: who may be, then who was not asked yet, who did not ask for a pause, the lowest priority, and among equals by
weight.

By weight means by chance, or for a session that sticks by rendezvous (Thaler and Ravishankar 1998, weighted as by Schindelhauer and
Schomaker 2005): each target has a number made of the session and its name, and the largest wins. So a session keeps its target while that
can be asked, a target that goes away moves its own sessions only, and the shares are those of the weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from msgspec import Struct


class Candidate(Struct, frozen=True):
    """One target, as it stands."""

    at: int
    """Its place in the route."""
    name: str
    """Which makes its number; the same in every worker."""
    weight: int = 1
    priority: int = 0
    admitted: bool = True
    """Its breaker lets a request pass."""
    resting: bool = False
    """It asked to be left alone for a while, and may be asked all the same."""
    asked: bool = False
    """For this request already."""


def choose(candidates: Sequence[Candidate], draw: float, session: str | None = None) -> Candidate | None:
    """`draw` is from [0, 1). With a `session` there is no chance in it. None when nobody may be asked."""
    open_to = [each for each in candidates if each.admitted]
    if not open_to:
        return None
    first = min(map(_rank, open_to))
    equals = [each for each in open_to if _rank(each) == first]
    return _drawn(equals, draw) if session is None else max(equals, key=lambda each: (_score(each, session), each.at))


def _rank(each: Candidate) -> tuple[bool, bool, int]:
    return each.asked, each.resting, each.priority


def _drawn(equals: Sequence[Candidate], draw: float) -> Candidate:
    left = draw * sum(each.weight for each in equals)
    for each in equals:
        left -= each.weight
        if left < 0:
            return each
    return equals[-1]


def _score(each: Candidate, session: str) -> float:
    digest = hashlib.blake2b(f"{each.name}\0{session}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -each.weight / math.log((int.from_bytes(digest) + 0.5) / 2**64)
