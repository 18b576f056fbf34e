"""The records of the book, as they are framed into the journal (JSON) and applied to the ledger.

Every record is one self-contained fact; none needs another to be understood, so a reader may start anywhere. Times are microseconds since
1970 UTC; money is a decimal string in USD; hashes are lower-case hex. What a record holds are rows (`*_rows.py`), whose fields have the
names of the ledger's columns.

Order in one exchange: `Opened` (durable before the first byte of a stream), one `Decided` per call (durable before the call's first byte),
`Ended` (durable before the last byte; repeats everything, so that an exchange needs only this one to be whole). An exchange answered in one
piece writes `Ended` alone, before its first byte.

`BODIES` names the fields that are *bodies*: what people and models wrote, and what quotes it. They lie in a part of the frame of their own
(`frames.py`), which retention takes away while the facts stay and go on proving the decision. A new field of free text belongs there.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from gateway.trace.bodies import Splitter
from gateway.trace.exchange_rows import AttemptRow, CallRow, ExchangeRow, HeardRow, MediaRow, MessageRow
from gateway.trace.frames import Parts
from gateway.trace.people_rows import (
    AccessRow,
    ApprovalRow,
    AskedRow,
    ErasureRow,
    FeedbackRow,
    ReadRow,
    RevisedRow,
    SessionRow,
)
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.prompt_rows import ExperimentRow, KeptRow, LookRow, MovedRow, PromptRow, RenderedRow
from gateway.verdict import Finding, Ran, RuleHit


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
