"""One request and its answer, with who asks, which targets are asked and how it ends. With what it holds (`request`, `verdict`, `answer`)
this is the vocabulary: every value that passes between the steps of the pipeline.

All of it is frozen except `Exchange` and its `Attempt`s, which only the pipeline writes. The words are those of the package docstring
(`gateway/__init__.py`); columns, YAML keys and JSON use the same ones. No I/O, no clock, no dialect's wire format here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from gateway.answer import Answer, Guess, Usage
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call, Finding, Heard, Ran, Verdict

EndState = Literal[
    "complete",  # the client got the whole answer, with every call that was proposed
    "denied",  # the client got a whole answer from which at least one call was withheld, or an error because of it
    "rejected",  # the request was refused before any upstream was asked
    "upstream_error",  # the provider answered with an error status, relayed
    "upstream_reset",  # the provider's connection broke or ended inside the answer
    "upstream_timeout",  # the provider was silent for too long
    "incomplete",  # the provider's answer broke its own protocol; nothing more of it was passed on
    "client_gone",  # the client left before the answer ended
    "interrupted",  # the worker died or was stopped inside the exchange
    "open",  # not ended yet (only ever seen in the ledger's view of running exchanges)
]


Storing = Literal["full", "redacted", "metadata"]
"""What the book keeps of content: as it was sent (without the gateway's own secrets), without secrets and personal data, or only sizes and
hashes."""


class Caller(Struct, frozen=True):
    """Who asks: proven by the key (agent, team, user, organisation, labels); the session is a label the client may choose."""

    agent: str
    key_id: str | None = None
    team: str | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    session_source: str = ""
    """Where the session came from: a header's name, `metadata`, or `derived` (hash of key, system prompt, first message)."""
    client: str = ""
    """The client's own name for itself (User-Agent), cut to 200 characters. A label, never proof."""
    org: str | None = None
    """That the team belongs to."""


class Rendered(Struct, frozen=True):
    """Which kept prompt a request was filled with."""

    name: str
    version: str
    label: str
    """By which it was named, if it was."""
    variables: Mapping[str, Json]
    """All of them, with defaults."""
    experiment: str = ""
    arm: str = ""
    edition: str = ""
    """What the experiment compared: results of one edition belong together."""


class TraceParent(Struct, frozen=True):
    """The span of the client's that asks (W3C Trace Context)."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    flags: int
    state: str = ""
    """`tracestate`: other parties' own, handed on as it came."""

    @property
    def sampled(self) -> bool:
        return bool(self.flags & 1)


AttemptKind = Literal["primary", "retry", "fallback", "mirror"]
"""The first that is asked; the same one again; another one, because it failed or could not be asked; one whose answer nobody gets."""


class Attempt(Struct):
    """One asking of a target of a route. Mutable until it has ended."""

    ordinal: int
    """From 1, over all rounds of the exchange."""
    upstream: str
    model: str
    """As it is called there."""
    region: str
    kind: AttemptKind
    why: str
    """Why this target, and why now."""
    started_us: int
    round: int = 0
    """Answers of the exchange before it: the model is asked again when a denial steers."""
    waited_us: int = 0
    """Before it, because of the one before."""
    first_byte_us: int | None = None
    duration_us: int | None = None
    status: int | None = None
    fault: str = ""
    """Code of what went wrong; empty for an answer."""
    retry_after_ms: int | None = None
    """As the provider asked."""
    unsure: bool = False
    """It failed, and the provider may have carried it out and charge for it."""
    answered: bool = False
    """Its answer was taken."""


class Exchange(Struct):
    """One request and its answer. Mutable; only the pipeline writes it. Times: wall in µs since 1970 UTC, spans in µs."""

    id: str
    started_us: int
    dialect: str
    route: str
    """The matched path, e.g. `/v1/chat/completions`."""
    caller: Caller
    request: Request | None = None
    request_bytes: int = 0
    client_request_id: str | None = None
    trace: TraceParent | None = None
    """Where the client's `traceparent` names one."""
    upstream: str | None = None
    upstream_status: int | None = None
    upstream_model: str | None = None
    """What the model is called there, where that is not what the request calls it."""
    region: str | None = None
    """The label of the target that was asked last."""
    attempts: list[Attempt] = field(default_factory=list)
    """Askings of targets, where a route has some."""
    translated: str = ""
    """The provider's dialect, where it is not the client's."""
    dropped: list[str] = field(default_factory=list)
    """Fields of the request that translation left out."""
    status: int | None = None
    """HTTP status the client got."""
    state: EndState = "open"
    error_code: str | None = None
    error_message: str | None = None
    prompt_hash: str | None = None
    template_hash: str | None = None
    """Of system prompt and tools without what changes from request to request."""
    rendered: Rendered | None = None
    policy_hash: str = ""
    policy_git: str | None = None
    enforcing: bool = False
    storing: Storing = "redacted"
    answer: Answer = field(default_factory=Answer)
    earlier: list[Usage | None] = field(default_factory=list)
    """What answers cost that the client never saw: the model was asked again."""
    fruitless: list[Usage | None] = field(default_factory=list)
    """What the last answer took, where it came to nothing and the one before it stands: one or none."""
    rounds: tuple[Usage | None, ...] = ()
    """What each answer took, once all are known: each has its own price, because long prompts cost more."""
    calls: list[tuple[Call, Verdict]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    """What rules said of texts, each rule once for each text."""
    ran: list[Ran] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    """`validator/version` of those which no rule asked, that looked at all of the answer and found nothing: most, of most answers."""
    looked_before: bool = False
    """Whether they had looked before the first byte of it left."""
    unevaluated: list[str] = field(default_factory=list)
    """Why parts of the exchange were not judged (observe mode only)."""
    budgets: list[str] = field(default_factory=list)
    """Which budgets count it, and for whom: `id=subject`."""
    cache: Literal["hit", "miss"] | None = None
    """Whether the answer was given again; None where nobody looked."""
    cached_from: str | None = None
    """Id of the exchange in which a provider gave the answer that was given again."""
    spared: Usage | None = None
    """What that took then."""
    guess: Guess | None = None
    """What the last of its rounds took, where nobody heard its end."""
    bytes_out: int = 0
    first_byte_us: int | None = None
    upstream_us: int = 0
    """Time spent waiting for the provider before its first byte."""
    duration_us: int = 0
    overhead_us: int = 0
    """The gateway's own time before the provider was asked plus its time on the answer until the first byte left."""
