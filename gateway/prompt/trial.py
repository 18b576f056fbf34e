"""An experiment with its versions found: which arm a session has, and what that arm gives a request.

1. A session keeps its arm without anybody remembering it: the arm is worked out from the names of experiment and session, the same on every
   worker and machine (weighted rendezvous hashing: each arm draws a number for the session, and the smallest, divided by the arm's weight,
   wins).
2. A changed weight moves as few sessions as can be: one raised takes sessions from others and changes nothing between these, one lowered
   only gives some away, and so does an arm that is out.
3. An edition is the plan with the versions it means now. When a label moves or the file changes, results begin anew.

Not here: which versions the file means (`binding.py`), what results come to (`gateway/rollout/`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from gateway.prompt.experiment import CONTROL, Experiment
from gateway.prompt.kept import Kept
from gateway.strict_json import Json

Outcome = Literal["halted", "promoted", "ended"]
_TWO_TO_64: Final = 2.0**64


class Stop(Struct, frozen=True, forbid_unknown_fields=True):
    """Arms that are out, and how that came."""

    experiment: str
    edition: str
    """In which the last of them was decided."""
    arms: Mapping[str, Outcome]


Stops = Mapping[str, Stop]
"""By design: they hold whenever the file asks for the same."""


@dataclass(frozen=True)
class Arm:
    name: str
    kept: Kept
    weight: float
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    experiment: Experiment
    control: Arm
    arms: tuple[Arm, ...]
    """The others, also those that are out."""
    out: Mapping[str, Outcome] = field(default_factory=dict)
    last_edition: str = ""
    """Where all arms are out: in which that was decided."""

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def where(self) -> tuple[str, str]:
        """Prompt and label of requests that take part; no label: of those that name neither label nor version."""
        return self.experiment.plan.prompt, self.experiment.plan.label or ""

    @property
    def running(self) -> tuple[Arm, ...]:
        """Arms besides the control that sessions may get."""
        return tuple(arm for arm in self.arms if arm.name not in self.out)

    @cached_property
    def edition(self) -> str:
        """Results of one edition are comparable with each other."""
        means = {arm.name: arm.kept.version for arm in (self.control, *self.arms)}
        return _digest([self.experiment.design, means])

    @property
    def judged(self) -> str:
        """The edition whose results count."""
        return self.last_edition or self.edition

    @property
    def said(self) -> list[Any]:
        """Another one whenever a request could be answered otherwise."""
        return [self.edition, sorted(self.out.items())]

    @property
    def names_models(self) -> bool:
        return any(arm.model is not None for arm in self.arms)

    def begun(self, now_us: int) -> bool:
        starts = self.experiment.plan.starts_us
        return starts is None or now_us >= starts

    def arm(self, unit: str) -> Arm:
        """The arm of a session, which `unit` names."""
        running = [arm for arm in (self.control, *self.running) if arm.weight > 0]
        return min(running, key=lambda arm: _turn(self.name, arm.name, unit) / arm.weight)

    def share(self, arm: str) -> float:
        """Which part of the sessions it is to get while nothing is out."""
        return self.weights[arm] / sum(self.weights.values())

    @property
    def weights(self) -> dict[str, float]:
        return {CONTROL: self.control.weight, **{arm.name: arm.weight for arm in self.arms}}


def _turn(experiment: str, arm: str, unit: str) -> float:
    """Exponentially distributed: the smallest of several, each divided by its weight, falls to each in proportion to the weights."""
    digest = hashlib.blake2b(msgspec.json.encode([experiment, arm, unit]), digest_size=8).digest()
    return -math.log((int.from_bytes(digest, "big") + 1) / _TWO_TO_64)


def _digest(said: object) -> str:
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:16]
