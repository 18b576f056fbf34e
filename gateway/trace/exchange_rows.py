"""Rows of what passed: exchanges, the calls in them, what rules heard, which targets were asked, what was said."""

from __future__ import annotations

from msgspec import Struct

from gateway.exchange import EndState
from gateway.verdict import RuleHit


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
