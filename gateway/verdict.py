"""What is judged and what comes of it: proposed calls, verdicts over them, what rules and validators saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gateway.strict_json import Json

Effect = Literal["allow", "warn", "redact", "ask", "repair", "deny", "unevaluated"]
"""What judgement came to. Restrictiveness: deny > repair > ask > redact > warn > allow; `unevaluated` is never a pass. `repair` is a denial
of an answer that the model may write anew."""

Hook = Literal["tool_call", "tool_result", "request", "output"]
"""Where rules judge: a proposed call, what a tool answered, what is asked of the model, what it says."""

OnDeny = Literal["explain", "steer", "error", "stop"]
"""A text in the place of the call; the model asked again, told that the call was refused; an error instead of the answer; a text, and the
end of the session."""


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
    signed: Json = None
    """What the provider wants back with it, unread: the signature of the thoughts that led there. It goes or stays with the call."""


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


NOT_DELIVERED = "not_delivered"
"""Code of a call that might have been delivered, whose answer ended before it could leave."""


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
