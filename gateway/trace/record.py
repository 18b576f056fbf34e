"""The records of the book, as they are framed into the journal (JSON) and applied to the ledger.

Every record is one self-contained fact; none needs another to be understood, so a reader may start anywhere. Times are microseconds since
1970 UTC; money is a decimal string in USD; hashes are lower-case hex. Field names are the ledger's column names.

Order in one exchange: `Opened` (durable before the first byte of a stream), one `Decided` per call (durable before the call's first byte),
`Ended` (durable before the last byte; repeats everything, so that an exchange needs only this one to be whole). An exchange answered in one
piece writes `Ended` alone, before its first byte.

`BODIES` names the fields that are *bodies*: what people and models wrote, and what quotes it. They lie in a part of the frame of their own
(`frames.py`), which retention takes away while the facts stay and go on proving the decision. A new field of free text belongs there.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from gateway.exchange import EndState, Finding, Ran, RuleHit
from gateway.trace.bodies import Splitter
from gateway.trace.frames import Parts


class ExchangeRow(Struct, frozen=True, omit_defaults=True):
    """One request and its answer: a row of `exchanges`."""

    id: str
    """UUIDv7."""
    started_us: int
    dialect: str
    provider: str
    operation: str
    """gen_ai.operation.name: `chat`."""
    route: str
    agent: str
    key_id: str | None = None
    team: str | None = None
    user: str | None = None
    session: str = ""
    session_source: str = ""
    client: str = ""
    client_request_id: str | None = None
    """The client's own name for the request, which may come again: never a key."""
    request_model: str = ""
    response_model: str | None = None
    response_id: str | None = None
    stream: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    upstream: str | None = None
    upstream_status: int | None = None
    status: int | None = None
    state: EndState = "open"
    error_code: str | None = None
    error_message: str | None = None
    finish_reasons: tuple[str, ...] = ()
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_raw: str | None = None
    cost: str | None = None
    """Decimal USD; None when the model has no price or the provider gave no usage. Never 0 for unknown."""
    price_version: str | None = None
    price_model: str | None = None
    """The price table's own key that was used."""
    prompt_hash: str | None = None
    policy_hash: str = ""
    policy_git: str | None = None
    enforcing: bool = False
    durability: str = "commit"
    calls: int = 0
    denied: int = 0
    unevaluated: tuple[str, ...] = ()
    request_bytes: int = 0
    bytes_out: int = 0
    first_byte_us: int | None = None
    upstream_us: int = 0
    duration_us: int = 0
    overhead_us: int = 0
    request_messages: tuple[str, ...] = ()
    """Content addresses, in order."""
    response_message: str | None = None
    input_preview: str = ""
    """First 200 characters of the last user message."""
    output_preview: str = ""
    upstream_dialect: str | None = None
    """What the provider speaks, where the exchange was translated."""
    dropped_fields: tuple[str, ...] = ()
    """What translation left out of the request."""
    trace_id: str | None = None
    """Of the trace that the client's `traceparent` belongs to (W3C Trace Context), 32 hex digits."""
    storing: str = "redacted"
    """What was kept of content: full | redacted | metadata."""
    audio_input_tokens: int | None = None
    audio_cache_read_tokens: int | None = None
    image_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    web_searches: int | None = None
    """Searches of the web that the provider ran and charges one by one."""
    service_tier: str | None = None
    """As the answer states it; None = the provider's standard one."""
    price_terms: tuple[str, ...] = ()
    """What else changes the price: `us`, `fast`; and services charged by other measures: `file_search`."""
    not_priced: tuple[str, ...] = ()
    """Why there is no cost: what of the answer has no known price."""
    rounds: int = 1
    """Answers of the provider behind it: more than one where the model was asked again."""
    template_hash: str | None = None
    """Of system prompt and tools without what changes from request to request."""
    budgets: tuple[str, ...] = ()
    """Which budgets count it, and for whom: `id=subject`."""
    upstream_model: str | None = None
    """What the upstream calls the model, where the route gives it another name."""
    region: str | None = None
    """The label of the target that was asked last."""
    attempts: int = 0
    """How often targets of a route were asked, its mirror left out; 0 where the route has no targets."""
    looked: str = ""
    """`validator/version` of those that no rule asked and that found nothing in the answer, a space between them: what would be five rows
    of `validations` with nearly every exchange is a text that hardly ever changes."""
    looked_before: bool = False
    """Whether they had looked before the first byte of it left."""
    cache: str | None = None
    """`hit`: the answer was given again, and nobody was asked; `miss`: there was none to give; None: nobody looked."""
    cached_from: str | None = None
    """Of a hit, the exchange in which a provider gave the answer."""
    saved_cost: str | None = None
    """Of a hit, what the answer would have cost; None when nobody knows."""
    experiment: str | None = None
    arm: str | None = None
    """What it was given: `control` or an arm's name."""
    edition: str | None = None
    """What the experiment compared: results of one edition belong together."""
    parent_span_id: str | None = None
    """The span of the client's that asked, in the trace `trace_id`; 16 hex digits."""
    trace_sampled: bool | None = None
    """Whether the client records that trace."""
    estimated_cost: str | None = None
    """Decimal USD, about, where nobody heard the answer to its end: what budgets count. `cost` is None then."""
    estimate: str | None = None
    """How it was made."""
    org: str | None = None
    """Organisation of the key."""


class CallRow(Struct, frozen=True, omit_defaults=True):
    """One proposed call and the verdict over it: a row of `calls`; each of `hits` a row of `rule_hits`."""

    exchange_id: str
    id: str
    """The decision id, `dec_…`: unique, shown to the agent when the call is withheld."""
    decided_us: int
    index: int
    call_id: str
    name: str
    type: str
    arguments: str
    arguments_hash: str
    effect: str
    released: bool
    code: str
    reason: str
    agent: str
    session: str = ""
    policy: str = ""
    rule: str = ""
    would: str | None = None
    policy_hash: str = ""
    judged_us: int = 0
    """Time the judgement took."""
    approval: str = ""
    """Id of the approval, where a person was asked."""
    decided_by: str = ""
    """The person who approved or denied it."""
    hits: tuple[RuleHit, ...] = ()




class AttemptRow(Struct, frozen=True, omit_defaults=True):
    """One asking of a target of a route: a row of `attempts`."""

    exchange_id: str
    started_us: int
    agent: str
    ordinal: int
    upstream: str
    model: str
    region: str
    kind: str
    """primary | retry | fallback | mirror"""
    why: str
    round: int = 0
    waited_us: int = 0
    first_byte_us: int | None = None
    duration_us: int | None = None
    status: int | None = None
    fault: str | None = None
    retry_after_ms: int | None = None
    unsure: bool = False
    """It failed, and the provider may have carried it out and charge for it."""
    answered: bool = False
    """Its answer was taken; never a mirror's."""
    read_tokens: int | None = None
    written_tokens: int | None = None
    cost: str | None = None


class HeardRow(Struct, frozen=True, omit_defaults=True):
    """A rule that spoke about a text: a row of `rule_hits` that belongs to no decision about a call."""

    exchange_id: str
    heard_us: int
    hook: str
    path: str
    policy: str
    rule: str
    effect: str
    mode: str
    error: bool = False
    message: str = ""
    line: int = 0
    detector: str = ""
    action: str = "none"
    original: str = ""
    """Content address of the text as it was."""


class MediaRow(Struct, frozen=True, omit_defaults=True):
    """An image, sound, film or file in a message: a row of `media`. Its bytes are not kept."""

    kind: str
    media_type: str = ""
    sha256: str | None = None
    """Of the decoded bytes, lower-case hex; None for what the provider was to fetch."""
    bytes: int | None = None
    url: str | None = None


class MessageRow(Struct, frozen=True, omit_defaults=True):
    """A message body by content address (HMAC-SHA-256/128 with the installation's key)."""

    hash: str
    role: str
    body: str
    """As sent, inline media replaced by their hash and size."""
    first_us: int
    media: tuple[MediaRow, ...] = ()


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


class RuleRow(Struct, frozen=True, omit_defaults=True):
    """One grant or guard of a policy version: a row of `policy_rules`."""

    policy: str
    rule: str
    """The guard's id; `allow` for a grant."""
    kind: str
    """grant | guard"""
    effect: str
    mode: str
    tools: tuple[str, ...]
    """Patterns as written."""
    pattern: str
    """The same as one regular expression (RE2), so that SQL can match names of tools."""
    catch_all: bool
    """Whether it speaks about every tool without naming any."""
    file: str
    line: int


class PolicyRow(Struct, frozen=True, omit_defaults=True):
    """A policy version that a worker put in force."""

    hash: str
    loaded_us: int
    git: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    """(path relative to the policies folder, text)."""
    rules: tuple[RuleRow, ...] = ()


class ApprovalRow(Struct, frozen=True, omit_defaults=True):
    """A call that a person had to decide about, as it stood after a change: a row of `approval_changes`."""

    id: str
    change: int
    """Counts the changes of this approval from 1. One change may be recorded twice."""
    state: str
    """pending | approved | denied | expired | used"""
    created_us: int
    expires_us: int
    agent: str
    team: str | None = None
    user: str | None = None
    session: str = ""
    exchange_id: str = ""
    """The exchange that asked first, and its decision."""
    decision_id: str = ""
    tool: str = ""
    arguments: str = ""
    policy: str = ""
    rule: str = ""
    policy_hash: str = ""
    message: str = ""
    four_eyes: bool = False
    decided_by: str | None = None
    decided_us: int | None = None
    reason: str = ""
    scope: str = "once"
    edited: str | None = None
    """Arguments that the person put in the place of the proposed ones."""
    used_us: int | None = None


class SessionRow(Struct, frozen=True, omit_defaults=True):
    """A session that a denial has stopped or an operator has resumed, or an agent that was paused: a row of `session_changes`."""

    session: str
    """Empty where a whole agent is paused."""
    agent: str
    change: int
    """Counts the changes of this session from 1. One change may be recorded twice."""
    state: str
    """stopped | resumed"""
    changed_us: int
    team: str | None = None
    user: str | None = None
    policy: str = ""
    rule: str = ""
    exchange_id: str = ""
    decision_id: str = ""
    """The denial that stopped it."""
    changed_by: str = ""
    """The person who resumed it, or who paused the agent."""
    why: str = ""
    """What that person said."""


class AskedRow(Struct, frozen=True, omit_defaults=True):
    """A question in SQL that somebody asked of the book: a row of `questions`."""

    id: str
    asked_us: int
    who: str
    """On whose credential."""
    sql: str
    form: str
    outcome: str
    """`answered`, or the code of the refusal."""
    row_count: int | None = None
    truncated: bool | None = None
    elapsed_us: int | None = None


class ReadRow(Struct, frozen=True, omit_defaults=True):
    """Somebody read content: a row of `content_reads`."""

    id: str
    at_us: int
    who: str
    what: str
    """exchange | list | export"""
    subject: str
    """Id of the exchange, or the question that chose what was exported."""
    why: str = ""
    count: int = 1
    """Exchanges whose content was handed out."""


class ErasureRow(Struct, frozen=True, omit_defaults=True):
    """Keys of content were dropped: a row of `erasures`."""

    id: str
    at_us: int
    who: str
    tenant: str
    user: str | None = None
    """None: all users of the tenant."""
    why: str = ""
    keys: tuple[str, ...] = ()
    """Ids of the data keys; what names one of them (`enc:1:<id>:…`) cannot be read any more."""


class RevisedRow(Struct, frozen=True, omit_defaults=True):
    """What an exchange costs under later prices: a row of `cost_revisions`. It says what it needs of the exchange, so that it can be
    applied before it."""

    exchange_id: str
    started_us: int
    agent: str
    team: str | None = None
    provider: str = ""
    model: str | None = None
    prompt_hash: str | None = None
    recorded_cost: str | None = None
    """As the exchange was recorded; decimal USD."""
    cost: str | None = None
    price_version: str | None = None
    price_model: str | None = None
    not_priced: tuple[str, ...] = ()


class FeedbackRow(Struct, frozen=True, omit_defaults=True):
    """What somebody says about an exchange, a decision or a session: a row of `feedback`."""

    id: str
    at_us: int
    who: str
    """The agent's name, or the person."""
    source: str
    """caller: with a key of its own · person: through the admin plane"""
    name: str
    """What is scored: `feedback`, `helpful`, `correct`, …"""
    agent: str
    """Whose exchange it is about."""
    team: str | None = None
    user: str | None = None
    key_id: str | None = None
    exchange_id: str | None = None
    decision_id: str | None = None
    session: str | None = None
    score: float | None = None
    label: str | None = None
    comment: str | None = None
    org: str | None = None
    """Of whose key the exchange was."""


class AccessRow(Struct, frozen=True, omit_defaults=True):
    """Somebody was let in, or no longer: a change of an agent's key or of a person. A row of `access_changes_told`."""

    id: str
    """One change may be recorded twice."""
    changed_us: int
    who: str
    """Who did it, as they say."""
    kind: str
    """key | person"""
    what: str
    """created | rotated (the new one of two keys) | ends (the old one) | revoked; of people also: joined (by an invitation) | roles |
    password | token | token-ended | removed"""
    subject: str
    """Id of the key, or the person."""
    created_us: int
    expires_us: int | None = None
    agent: str | None = None
    org: str | None = None
    team: str | None = None
    user: str | None = None
    scope: str | None = None
    """What a key is bound to, as JSON."""
    store: str | None = None
    family: str | None = None
    """Id of the first of the keys that were made in each other's place."""
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] | None = None
    why: str = ""


class Booted(Struct, frozen=True, tag="booted"):
    """First record of every segment: which worker, in which run of the gateway. Exchanges left open by an earlier boot of the same slot,
    or by any boot of an earlier run, are `interrupted`. The book (slot -1) has no exchanges and ends nobody's."""

    run: str
    slot: int
    boot: str
    at_us: int
    version: str = ""


class Opened(Struct, frozen=True, tag="opened"):
    exchange: ExchangeRow
    messages: tuple[MessageRow, ...] = ()
    prompt: PromptRow | None = None
    rendered: RenderedRow | None = None


class Decided(Struct, frozen=True, tag="decided"):
    call: CallRow


class Ended(Struct, frozen=True, tag="ended"):
    exchange: ExchangeRow
    calls: tuple[CallRow, ...] = ()
    """Calls not already written as `Decided`."""
    findings: tuple[Finding, ...] = ()
    messages: tuple[MessageRow, ...] = ()
    prompt: PromptRow | None = None
    heard: tuple[HeardRow, ...] = ()
    ran: tuple[Ran, ...] = ()
    """Validators that were asked: rows of `validations`."""
    rendered: RenderedRow | None = None
    """Where no `Opened` has said it."""
    attempts: tuple[AttemptRow, ...] = ()


class Judged(Struct, frozen=True, tag="judged"):
    """What came of looking at an answer when its end was on record. It says what it needs of the exchange, so that it can be applied before
    it."""

    exchange_id: str
    started_us: int
    agent: str
    ran: tuple[Ran, ...]
    findings: tuple[Finding, ...] = ()
    heard: tuple[HeardRow, ...] = ()


class Mirrored(Struct, frozen=True, tag="mirrored"):
    """What came of asking a route's mirror."""

    attempt: AttemptRow


class PolicyLoaded(Struct, frozen=True, tag="policy"):
    policy: PolicyRow


class PromptsLoaded(Struct, frozen=True, tag="prompts"):
    prompts: tuple[KeptRow, ...]


class PromptMoved(Struct, frozen=True, tag="prompt_moved"):
    moved: MovedRow


class ExperimentChanged(Struct, frozen=True, tag="experiment"):
    change: ExperimentRow


class ExperimentLooked(Struct, frozen=True, tag="experiment_look"):
    looks: tuple[LookRow, ...]


class ApprovalChanged(Struct, frozen=True, tag="approval"):
    approval: ApprovalRow


class SessionChanged(Struct, frozen=True, tag="session"):
    session: SessionRow


class Asked(Struct, frozen=True, tag="asked"):
    question: AskedRow


class ContentRead(Struct, frozen=True, tag="read"):
    read: ReadRow


class Erased(Struct, frozen=True, tag="erased"):
    erasure: ErasureRow


class FeedbackGiven(Struct, frozen=True, tag="feedback"):
    feedback: FeedbackRow


class AccessChanged(Struct, frozen=True, tag="access"):
    access: AccessRow


class BudgetReset(Struct, frozen=True, tag="budget_reset"):
    """An operator let a budget begin at zero again, for one subject: a row of `budget_resets`."""

    id: str
    reset_us: int
    who: str
    budget: str
    subject: str
    why: str = ""


class CostsRevised(Struct, frozen=True, tag="costs"):
    """Some of what one revision changed; all its records have the same `revision` and time."""

    revision: str
    revised_us: int
    who: str
    costs: tuple[RevisedRow, ...]


Told = (
    Opened | Decided | Ended | PolicyLoaded | PromptsLoaded | PromptMoved | ApprovalChanged | ContentRead | Erased | FeedbackGiven
    | SessionChanged | Asked | CostsRevised | BudgetReset | Judged | AccessChanged | ExperimentChanged | ExperimentLooked
    | Mirrored
)  # fmt: skip
Record = Booted | Told

BODIES: dict[type[Struct], tuple[str, ...]] = {
    ExchangeRow: ("error_message", "input_preview", "output_preview"),
    CallRow: ("arguments", "reason"),
    RuleHit: ("message",),
    HeardRow: ("message",),
    MessageRow: ("body",),
    MediaRow: ("url",),
    PromptRow: ("system", "tools"),
    RenderedRow: ("variables",),
    ApprovalRow: ("arguments", "edited", "message", "reason"),
    AskedRow: ("sql",),
    FeedbackRow: ("comment",),
}
"""By kind of row. Reasons and messages are bodies because a rule's words may quote arguments (`{args.to}`), and errors because a provider's
may quote the request; the code, the rule and the policy version, which prove the decision, are facts."""

_splitter = Splitter(BODIES)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def encode(record: Record) -> Parts:
    """Two JSON objects, the first with a `type` tag; msgspec field order, so equal records are equal bytes."""
    facts, bodies = _splitter.split(record)
    return Parts(_encode(facts), b"" if bodies is None else _encode(bodies))


def decode(parts: Parts) -> Record:
    """The record; without its bodies, where they were shed. Raises msgspec.DecodeError / ValidationError on anything that `encode` could
    not have written. Unknown fields are skipped."""
    facts, bodies = parts
    record: Record = _decode(facts)
    return _splitter.join(record, msgspec.json.decode(bodies)) if bodies else record
