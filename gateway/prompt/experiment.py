"""An experiment: `experiments/<name>.yaml` in the folder of kept prompts. Which requests take part, what each arm gives them, what is
measured, and when it ends.

    prompt: support
    label: production                  # requests that name this label take part; without it those that name neither label nor version
    control: 90                        # weight of what they would get anyway
    arms:
      canary: {version: this, weight: 10}
    metrics:
      success: {measure: feedback, of: task_success, matters: 0.03, missing: 0}
    guards: [success]
    sessions: {min: 1000, max: 10000}

A file of its own and not a part of the prompt's front matter: it names two versions of that file, so it is neither's, and it comes and goes
while the prompt stays. The control has no version of its own: it is what requests get without the experiment, so that taking the file away,
or halting it, changes nothing for them.

Not here: which versions are meant (`trial.py`), files on disk (`gateway/prompt_folder.py`), what results come to (`gateway/rollout/`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Final, Literal, Self

import msgspec
from pydantic import Field, field_validator, model_validator

from gateway.documents import Document, Section, check, parse
from gateway.errors import FileProblems, Problem
from gateway.prompt.kept import LABEL, PROMPT_NAME, THIS, VERSION, Parameters

CONTROL: Final = "control"
SUFFIX: Final = ".yaml"
Measure = Literal["cost", "latency", "denials", "errors", "quality", "score", "feedback"]
MEASURES: Final[Mapping[Measure, Literal["lower", "higher"]]] = {
    "cost": "lower", "latency": "lower", "denials": "lower", "errors": "lower",
    "quality": "higher", "score": "higher", "feedback": "higher",
}  # fmt: skip
"""What is better, where the file does not say."""
NAMING: Final = frozenset({"score", "feedback"})
"""Measures of which there are several: `of` says which."""
DAY_US: Final = 86_400_000_000
_SHAPE = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class ArmEntry(Section):
    """What some of the requests get in the place of what they would get."""

    weight: Annotated[float, Field(ge=0, le=1_000_000, description="how many sessions it gets, in proportion to the others")]
    version: Annotated[str | None, Field(description="'this' (the file as it stands) or a version's hash")] = None
    label: Annotated[str | None, Field(description="the version that this label points at")] = None
    model: Annotated[str | None, Field(min_length=1, max_length=256, description="in the place of the model that the request names")] = None
    parameters: Annotated[Parameters, Field(description="in the place of those that the request and the prompt say")] = Parameters()

    @model_validator(mode="after")
    def says_something_once(self) -> Self:
        if self.version and self.label:
            raise ValueError("an arm has a 'version' or a 'label', not both")
        if self.version and self.version != THIS and not VERSION.fullmatch(self.version):
            raise ValueError(f"'version' is '{THIS}' or a version's hash (its first 8 to 64 hex digits)")
        if self.label and not LABEL.fullmatch(self.label):
            raise ValueError("'label' is a label's name; lower-case letters, digits, _ and -")
        return self


class Metric(Section):
    """What of a session is measured. A session has one value of it, or none."""

    measure: Annotated[
        Measure,
        Field(
            description="cost (of the session, USD) · latency (ms of an answer, mean) · denials (withheld calls) · errors (share of the "
            "exchanges that did not end well) · quality (share of answers that met every validator) · score (a validator's, mean) · "
            "feedback (mean)"
        ),
    ]
    of: Annotated[str | None, Field(min_length=1, max_length=64, description="score: the validator · feedback: its name")] = None
    better: Annotated[Literal["lower", "higher"] | None, Field(description="default: lower for costs, higher for quality")] = None
    matters: Annotated[float, Field(ge=0, description="smallest difference that matters, in the metric's own unit")]
    missing: Annotated[float | None, Field(description="value of a session of which nothing is known; none = it does not count")] = None

    @model_validator(mode="after")
    def named_where_there_are_several(self) -> Self:
        if (self.measure in NAMING) != (self.of is not None):
            raise ValueError(f"'of' says which {self.measure}" if self.measure in NAMING else f"'of' has no meaning for {self.measure}")
        return self

    @property
    def higher_is_better(self) -> bool:
        return (self.better or MEASURES[self.measure]) == "higher"


class Sessions(Section):
    """How many sessions, of all arms together."""

    min: Annotated[int, Field(ge=60, description="before these nothing is decided")]
    max: Annotated[int, Field(ge=60, le=100_000_000, description="with these it ends")]

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError("'min' is more than 'max'")
        return self


class Plan(Section):
    """The file."""

    prompt: Annotated[str, Field(description="name of the kept prompt")]
    label: Annotated[str | None, Field(description="of requests that take part; none = those that name neither label nor version")] = None
    control: Annotated[float, Field(gt=0, le=1_000_000, description="weight of what requests get without the experiment")]
    arms: Annotated[dict[str, ArmEntry], Field(min_length=1, max_length=8, description="name -> {weight, version | label, model, …}")]
    metrics: Annotated[dict[str, Metric], Field(min_length=1, max_length=16, description="name -> {measure, matters, …}")]
    guards: Annotated[list[str], Field(description="metrics on which an arm that is worse is halted")] = Field(default_factory=list)
    sessions: Sessions
    looks: Annotated[int, Field(ge=1, le=10, description="how often it is decided, evenly between min and max")] = 5
    risk: Annotated[float, Field(gt=0, le=0.5, description="that an arm which is no worse is halted; over all looks and guards")] = 0.05
    quiet_minutes: Annotated[float, Field(ge=0, le=100_000, description="a session counts once it was quiet for so long")] = 30
    starts: Annotated[str | None, Field(description="time with zone: 2026-12-01T08:00:00Z; none = as soon as it is read")] = None
    days: Annotated[float | None, Field(gt=0, le=3650, description="after so many days it ends, however many sessions")] = None
    promote: Annotated[bool, Field(description="at the end the label is moved to the arm, if it is no worse")] = False

    @field_validator("starts")
    @classmethod
    def a_moment(cls, value: str | None) -> str | None:
        moment = datetime.fromisoformat(value) if value is not None else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError("'starts' needs a zone: 2026-12-01T08:00:00Z")
        return value

    @field_validator("arms", "metrics")
    @classmethod
    def names(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            if not _SHAPE.fullmatch(name) or name == CONTROL:
                raise ValueError(f"'{name}' is no name here; use lower-case letters, digits, _ and -, and not '{CONTROL}'")
        return value

    @model_validator(mode="after")
    def can_be_decided(self) -> Self:
        for guard in self.guards:
            if guard not in self.metrics:
                raise ValueError(f"'guards' names '{guard}', which is none of the metrics ({', '.join(self.metrics)})")
        if len(set(self.guards)) != len(self.guards):
            raise ValueError("'guards' names a metric twice")
        if self.promote:
            self._promotable()
        return self

    def _promotable(self) -> None:
        """Raises ValueError."""
        (arm, *others) = self.arms.values()
        if self.label is None or others or arm.model or arm.parameters.said() or not (arm.version or arm.label):
            raise ValueError("'promote' moves the label: it needs a 'label' and one arm, which differs by its version and nothing else")
        if not self.guards:
            raise ValueError("'promote' needs 'guards': what an arm must not be worse in")

    @property
    def starts_us(self) -> int | None:
        moment = datetime.fromisoformat(self.starts) if self.starts else None
        return None if moment is None else (moment - datetime.fromisoformat("1970-01-01T00:00:00Z")) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Experiment:
    """One file, read and found usable."""

    name: str
    plan: Plan
    document: Document

    @cached_property
    def design(self) -> str:
        """Another one whenever the file asks for something else: what was halted or promoted stays so until then."""
        return hashlib.sha256(msgspec.json.encode([self.name, self.plan.model_dump()], order="deterministic")).hexdigest()[:16]

    @property
    def file(self) -> str:
        return self.document.file


def read(name: str, text: bytes, file: str) -> Experiment:
    """Raises FileProblems with every problem of the file."""
    if not PROMPT_NAME.fullmatch(name):
        said = f"'{name[:64]}' is no name for an experiment; use lower-case letters, digits and . _ -"
        raise FileProblems([Problem(file, 1, 1, said)])
    document = parse(text, file)
    return Experiment(name, check(document, Plan), document)
