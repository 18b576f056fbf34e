"""Rows of what people did: decided, stopped and resumed, asked, read, erased, revised, said, and let others in."""

from __future__ import annotations

from msgspec import Struct


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
    """Exchanges whose content was handed out; 0: rows of a view or a saved query, which nobody counts."""


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
