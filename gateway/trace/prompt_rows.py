"""Rows of prompts: versions that were seen, kept ones that were served, labels that were moved, experiments."""

from __future__ import annotations

from msgspec import Struct


class PromptRow(Struct, frozen=True, omit_defaults=True):
    """A prompt version as seen in one exchange: system prompt and tools."""

    hash: str
    seen_us: int
    agent: str
    system: str = ""
    tools: str = ""
    """JSON array of the tool declarations."""
    scope: str = ""
    """Another one for each tenant, mode of storing and data key: a version's text is kept once for each."""


class RenderedRow(Struct, frozen=True, omit_defaults=True):
    """The kept prompt that an exchange was filled with: a row of `prompts_rendered`."""

    exchange_id: str
    rendered_us: int
    name: str
    version: str
    label: str | None = None
    variables: str = ""
    """JSON object of all of them."""


class KeptRow(Struct, frozen=True, omit_defaults=True):
    """A version of a kept prompt that a worker serves: a row of `prompts_loaded`."""

    name: str
    version: str
    loaded_us: int
    git: str | None = None
    labels: tuple[str, ...] = ()
    """Those that point at it."""
    source: str = ""
    """The file's text."""
    last_commit: str | None = None
    """The commit that changed the file last, where the file is what it has."""
    author: str | None = None
    """Of that commit."""
    committed: bool | None = None
    """False: the file is in a repository and is not what is committed. Known of the file as it stands only."""


class MovedRow(Struct, frozen=True, omit_defaults=True):
    """A label of a kept prompt that was moved by the command: a row of `prompt_moves`."""

    id: str
    at_us: int
    name: str
    label: str
    version: str
    before: str | None = None
    """The version it pointed at until then."""
    who: str = ""
    why: str = ""


class ExperimentRow(Struct, frozen=True, omit_defaults=True):
    """An arm of an experiment that began, or is out: a row of `experiment_changes`."""

    id: str
    at_us: int
    experiment: str
    design: str
    edition: str
    arm: str
    state: str
    """running | halted | promoted | ended"""
    who: str
    """A person, or `rollout`: the book's own decision."""
    why: str = ""
    prompt: str = ""
    version: str = ""
    """The arm's."""
    control_version: str = ""
    weight: float = 0.0
    control_weight: float = 0.0
    look: int | None = None
    """Which look decided it."""
    metric: str | None = None
    """The guard that decided it, how much worse the arm was, and the interval of that."""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    sessions: int | None = None


class LookRow(Struct, frozen=True, omit_defaults=True):
    """One metric of one arm beside the control, as a look found them: a row of `experiment_looks`."""

    experiment: str
    edition: str
    look: int
    at_us: int
    share: float
    """Of the sessions that the experiment may have."""
    arm: str
    metric: str
    guard: bool
    control_sessions: int
    arm_sessions: int
    control_mean: float | None = None
    arm_mean: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    """Probability, one side, under which the difference counted as proven in this look."""
    p: float | None = None
    """How probable a difference that much worse is, were the arm no worse."""
    finding: str = ""
    """worse | no_worse | open | too_few"""
