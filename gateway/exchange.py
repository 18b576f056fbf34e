"""The vocabulary: every value that passes between the steps of the pipeline.

All of it is frozen except `Exchange` and its `Attempt`s, which only the pipeline writes. The words are those of the package docstring
(`gateway/__init__.py`); columns, YAML keys and JSON use the same ones. No I/O, no clock, no dialect's wire format here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct, field

Json = Any
"""A parsed JSON value: None, bool, int, float, str, list or dict with str keys."""

Effect = Literal["allow", "warn", "redact", "ask", "repair", "deny", "unevaluated"]
"""What judgement came to. Restrictiveness: deny > repair > ask > redact > warn > allow; `unevaluated` is never a pass. `repair` is a denial
of an answer that the model may write anew."""

Hook = Literal["tool_call", "tool_result", "request", "output"]
"""Where rules judge: a proposed call, what a tool answered, what is asked of the model, what it says."""

Pin = Literal["same", "changed", "added"]
"""How a tool that a request declares compares with what its agent was approved with: as it was read, another one, or a new one."""

OnDeny = Literal["explain", "steer", "error", "stop"]
"""A text in the place of the call; the model asked again, told that the call was refused; an error instead of the answer; a text, and the
end of the session."""

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


class Tool(Struct, frozen=True):
    """A tool the request declares for the model."""

    name: str
    type: str
    """`function`/`custom` (OpenAI), `custom` (Anthropic) or a provider-run type such as `web_search_20260318`."""
    raw: bytes
    """The declaration as the client sent it."""
    schema: bytes | None = None
    """The JSON Schema of its arguments as sent, or None where the tool declares none."""


class ProposedBefore(Struct, frozen=True):
    """An earlier call in the history that the client sent."""

    id: str
    name: str
    arguments: str


class Media(Struct, frozen=True):
    """An image, sound, film or file in a message. It passes through; the record keeps its hash and size, never its bytes."""

    kind: Literal["image", "audio", "video", "file"]
    path: str
    """Where in the request: `messages[0].content[1].image_url`."""
    media_type: str = ""
    """As the request says, lower case: `image/png`; empty when it does not."""
    data: str = ""
    """Inline: the string of the request that holds it (base64 or a `data:` URI), exactly as it reads once parsed."""
    url: str = ""
    """Remote: what the provider would fetch. Exactly one of `data` and `url` is set."""


class Message(Struct, frozen=True):
    """One message of the conversation, normalised just far enough to be judged, hashed and stored."""

    role: str
    """system | developer | user | assistant | tool"""
    raw: bytes
    """The message exactly as the client sent it (one JSON value)."""
    text: str
    """All plain text of the message, parts joined by newlines."""
    calls: tuple[ProposedBefore, ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    """(call id, result text) for each tool result this message carries."""
    media: tuple[Media, ...] = ()
    said: str | None = None
    """What the speaker said, where the message also hands over texts of others (documents, search results); None = all of `text`."""


Operation = Literal[
    "chat", "compact", "retrieve", "create", "delete", "count_tokens", "embeddings", "models", "pass_through"
]
"""What a route does: answer, shorten a conversation (`compact`), fetch an answer that the provider stored (`retrieve`; also one that it
is told to stop working on), begin a stored conversation (`create`), forget something stored (`delete`), and what brings numbers and names.
`pass_through` is what the settings let pass unjudged.
`chat` and `embeddings` are OpenTelemetry's `gen_ai.operation.name`s."""

JUDGED: frozenset[Operation] = frozenset({"chat", "compact", "retrieve"})
"""Operations whose answers may bring calls; the answers of the others are proven to bring none."""


class Endpoint(Struct, frozen=True):
    """One route of a dialect: an entry of its closed table, matched against a path."""

    method: str
    operation: Operation
    upstream_path: str
    """Below an upstream's base URL."""
    subject: str = ""
    """What the path names: the model (Gemini), the id of something stored (Responses)."""
    query: str = ""
    """The client's query string; the table leaves it empty."""


class ServerTool(Struct, frozen=True):
    """A tool that the provider would run by itself. It is judged at the request: afterwards nothing can be stopped."""

    name: str
    """What policies grant: provider and kind, without a date: `openai.web_search`, `anthropic.code_execution`, `google.search`."""
    path: str
    """Where the request asks for it, as `Request.powerful` names it: `tools[1].type=web_search_20260318`, `web_search_options`."""
    args: Mapping[str, Json] = field(default_factory=dict)
    """Its configuration as the request gives it: what conditions see as `args`."""


StoredKind = Literal["response", "conversation", "item"]


class Stored(Struct, frozen=True):
    """Something the provider keeps under an id, which a request builds on, fetches or deletes. It must be the caller's own."""

    kind: StoredKind
    id: str
    path: str
    """Where the request names it: `previous_response_id`; empty for the URL's path."""


class Owed(Struct, frozen=True):
    """A withheld call for whose result a provider that keeps the conversation still waits."""

    call_id: str
    type: str
    """`Call.type`; `item` for a text of the gateway's own that stands in the conversation under the id."""
    text: str
    """What the model is told in place of a result."""


class Request(Struct, frozen=True):
    """A decoded request, whatever its dialect."""

    dialect: str
    model: str
    stream: bool
    messages: tuple[Message, ...]
    """In order; the system prompt first, also where the dialect keeps it apart."""
    tools: tuple[Tool, ...]
    body: bytes
    """The request's bytes as they came."""
    unjudged: tuple[str, ...] = ()
    """Names of things nobody can judge: unknown fields, tool types or message parts. Refused while a policy enforces."""
    powerful: tuple[str, ...] = ()
    """Fields or tools that make the provider act, fetch, store or delegate. Refused while a policy enforces, unless a policy grants the
    `ServerTool` of that path."""
    wants_usage: bool = True
    """False when the client did not ask for usage in the stream: the gateway asks for it and hides it."""
    temperature: float | None = None
    max_tokens: int | None = None
    choices: int = 1
    """Answers asked for side by side, each of which may have `max_tokens`."""
    user_hint: str | None = None
    """The end user as the client names it (`user`, `safety_identifier`, `metadata.user_id`): a label."""
    operation: Operation = "chat"
    server_tools: tuple[ServerTool, ...] = ()
    session_hint: str | None = None
    """A session the body names (`metadata.session_id`, Claude Code's `metadata.user_id`): a label."""
    continues: tuple[Stored, ...] = ()
    """What the provider has kept and this request needs."""
    stores: StoredKind | None = None
    """What the provider will keep under `Answer.id`, if anything."""
    background: bool = False
    """The provider goes on working when the answer has ended or the client has left."""


class Call(Struct, frozen=True):
    """A proposed tool action, whole, normalised over all dialects. What is judged here is what is delivered."""

    id: str
    name: str
    arguments: str
    """The argument text exactly as it will be delivered."""
    args: Mapping[str, Json] | None
    """The arguments parsed, or None when they have no single meaning (`problem` says why)."""
    index: int
    """Position among the calls of this answer, from 0."""
    type: str = "function"
    problem: str | None = None
    """Reason code when the call cannot be read in exactly one way (`dup_key`, `bad_name`, `truncated`, …): always denied."""
    detail: str = ""
    """What exactly was wrong, for people. Never holds the arguments' values."""
    choice: int = 0
    """The answer's alternative it belongs to (`n` > 1)."""


class RuleHit(Struct, frozen=True):
    """One grant or guard that spoke about a call. Every hit is recorded, not only the one that decided."""

    policy: str
    rule: str
    effect: Effect
    mode: Literal["enforce", "shadow"] = "enforce"
    error: bool = False
    """True when the rule hit because its condition failed to evaluate."""
    message: str = ""
    line: int = 0
    """Line of the rule in its file."""
    four_eyes: bool = False
    """Whoever approves must be another person than the one on whose behalf the agent asks."""


Outcome = Literal["passed", "hit", "unevaluated", "not_drawn"]


class Ran(Struct, frozen=True, omit_defaults=True):
    """That a validator was asked about the texts of an exchange, and what came of it: one for each rule that names it, and hook."""

    validator: str
    version: str
    hook: Hook = "output"
    policy: str = ""
    rule: str = "default"
    """`default`: no rule, the gateway's own look at every answer."""
    effect: Effect = "warn"
    mode: Literal["enforce", "shadow"] = "enforce"
    outcome: Outcome = "passed"
    """The worst of its looks. `not_drawn`: it did not look."""
    before: bool = True
    """Whether it had looked before the first byte of the text left."""
    looks: int = 1
    seen: int = 0
    """Things that hit."""
    score: float | None = None
    """The lowest."""
    asked: str | None = None
    """Id of the exchange in which a model was asked, where that is how it looked."""


class Verdict(Struct, frozen=True):
    """The judgement over one call."""

    effect: Effect
    released: bool
    """Whether the call was delivered to the client."""
    code: str
    """Stable reason code: `granted`, `rule`, `not_granted`, `no_policy`, `undeclared_tool`, `schema`, `dup_key`, `policy_error`, …"""
    reason: str
    """One line for people and models; may quote rule messages."""
    hits: tuple[RuleHit, ...] = ()
    would: Effect | None = None
    """What shadow rules (or a policy that only observes) would have decided, where that differs."""
    policy: str = ""
    """Id of the policy whose rule decided."""
    rule: str = ""
    on_deny: OnDeny = "explain"
    """What the agent gets in the place of a withheld call."""
    approval: str = ""
    """Id of the approval, where a person was asked."""
    decided_by: str = ""
    """The person who approved or denied."""
    findings: tuple[Finding, ...] = ()
    """What validators of rules saw."""
    ran: tuple[Ran, ...] = ()
    """Which validators of rules were asked."""


Action = Literal["none", "stripped", "redacted", "denied", "refused", "repaired"]


class Finding(Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """What a validator or a strict parser saw."""

    validator: str
    code: str
    severity: Literal["info", "warn", "error"]
    path: str
    """Where: `tool_calls[0].arguments`, `choices[0].message.Tool_Calls`, …"""
    detail: str
    """What was wrong; never a secret, never the value itself."""
    action: Action = "none"
    version: str = ""
    """Of the validator."""
    policy: str = ""
    rule: str = ""
    """The rule that asked; empty where none did."""
    span_hash: str = ""
    """Content address of the words that it is about, where they are some of the text."""
    score: float | None = None


Done = Literal["none", "redacted", "refused", "denied", "repaired"]


class Heard(Struct, frozen=True):
    """A rule that spoke about a text, at another hook than `tool_call`."""

    hook: Hook
    path: str
    """Where: `messages[3]`, `answer`."""
    hit: RuleHit
    detector: str = ""
    """What found it; empty where only a condition spoke."""
    action: Done = "none"
    original: str = ""
    """Content address of the text as it was, never the text."""


class Usage(Struct, frozen=True):
    """Token counts in *disjoint* classes: their sum is what was processed. None = the provider did not say.

    Sources: OpenAI `usage` (prompt_tokens includes cached_tokens; completion_tokens includes reasoning_tokens), Anthropic
    `usage` (input_tokens excludes cache reads and writes).
    """

    input: int | None = None
    """Tokens read at the full price."""
    cache_read: int | None = None
    cache_write: int | None = None
    """Written to a cache that lives five minutes (the provider's default)."""
    cache_write_1h: int | None = None
    output: int | None = None
    """Tokens written, reasoning left out."""
    reasoning: int | None = None
    audio_input: int | None = None
    """Sound read at the full price."""
    audio_cache_read: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    searches: int | None = None
    """Web searches that the provider ran and charges one by one. Not tokens."""
    tier: str = ""
    """Service tier as the answer states it (`batch`, `flex`, `priority`, …); empty = the provider's standard one, or it does not say."""
    terms: tuple[str, ...] = ()
    """What else the answer says that changes its price: where it was computed (`us`), how fast (`fast`)."""
    fees: tuple[str, ...] = ()
    """Services the provider ran that it charges for by other measures than tokens and searches: `file_search`, `code_interpreter`."""


TOKENS = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning",
    "audio_input", "audio_cache_read", "image_input", "audio_output", "image_output",
)  # fmt: skip
"""The classes of `Usage` that count tokens."""
READ_TOKENS = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input")
WRITTEN_TOKENS = ("output", "reasoning", "audio_output", "image_output")


class Guess(Struct, frozen=True):
    """What an answer took, about, that nobody heard to its end."""

    usage: Usage
    how: str
    """What each count is made of."""


MOST_TEXT: Final = 256 * 1024
"""Characters of what an answer says that are kept."""


class Answer(Struct, frozen=True):
    """What the provider's answer said about itself, collected while it was decoded."""

    id: str | None = None
    model: str | None = None
    finish: tuple[str, ...] = ()
    """The provider's own finish or stop reasons, one per choice."""
    usage: Usage | None = None
    usage_raw: bytes | None = None
    """The usage block as it came."""
    text: str = ""
    """What the model wrote, thinking left out; of more than `MOST_TEXT` characters so many, the first."""
    items: dict[str, str] = field(default_factory=dict)
    """What a provider keeps of this answer one by one: ids, each with the gateway's own text where the provider does not know the item."""

    @property
    def cut(self) -> bool:
        """Whether there may have been more text: who looks at `text` has not seen all of it."""
        return len(self.text) >= MOST_TEXT


class Instruction(Struct, frozen=True):
    """What a kept prompt puts into a request, for each dialect to write in its own form."""

    text: str
    """The system prompt."""
    model: str | None = None
    """Where the request names none."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Where the request says nothing: `temperature`, `top_p`, `max_tokens`, `stop`."""
    over: frozenset[str] = frozenset()
    """Which of these, and `model`, count more than what the request says."""


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
    """What the last of its answers took, where nobody heard its end."""
    bytes_out: int = 0
    first_byte_us: int | None = None
    upstream_us: int = 0
    """Time spent waiting for the provider before its first byte."""
    duration_us: int = 0
    overhead_us: int = 0
    """The gateway's own time before the provider was asked plus its time on the answer until the first byte left."""
