"""From records to rows: which table gets what. Pure, and the same for every store.

A new boot ends what earlier boots left open, so the order matters: the records are cut into steps, each beginning with at most one
`Booted`. Inside a step an exchange that opens and ends is only ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.trace.exchange_rows import AttemptRow, CallRow, ExchangeRow, HeardRow
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
from gateway.trace.policy_rows import RuleRow
from gateway.trace.prompt_rows import ExperimentRow, KeptRow, LookRow, MovedRow, RenderedRow
from gateway.trace.record import (
    AccessChanged,
    ApprovalChanged,
    Asked,
    Booted,
    BudgetReset,
    ContentRead,
    CostsRevised,
    Decided,
    Ended,
    Erased,
    ExperimentChanged,
    ExperimentLooked,
    FeedbackGiven,
    Judged,
    Mirrored,
    Opened,
    PolicyLoaded,
    PromptMoved,
    PromptsLoaded,
    Record,
    SessionChanged,
    Told,
)
from gateway.trace.segments import Segment
from gateway.verdict import Finding, Ran

Row = tuple[Any, ...]

_RENAMED = {
    "started_us": "started_at",
    "decided_us": "decided_at",
    "first_us": "first_seen",
    "seen_us": "first_seen",
    "loaded_us": "loaded_at",
    "rendered_us": "rendered_at",
    "at_us": "booted_at",
    "created_us": "created_at",
    "expires_us": "expires_at",
    "used_us": "used_at",
    "changed_us": "changed_at",
    "asked_us": "asked_at",
}
"""Points in time are timestamps in the ledger; spans of time keep their `_us`."""


def names_of(row: type[Struct], *without: str) -> tuple[str, ...]:
    """A record's fields as the ledger's columns are called."""
    return tuple(_RENAMED.get(name, name) for name in row.__struct_fields__ if name not in without)


def _timed(row: type[Struct], at: str) -> tuple[str, ...]:
    return tuple(at if name == "at_us" else name for name in row.__struct_fields__)


_EXCHANGE = (*names_of(ExchangeRow), "run", "slot", "boot")

COLUMNS: dict[str, tuple[str, ...]] = {
    "exchanges_ended": _EXCHANGE,
    "exchanges_open": _EXCHANGE,
    "calls": names_of(CallRow, "hits"),
    "rule_hits": (
        "exchange_id", "decision_id", "decided_at", "policy", "rule", "effect", "mode", "error", "message", "line",
        "hook", "path", "detector", "action", "original",
    ),
    "findings": ("exchange_id", "started_at", *names_of(Finding)),
    "validations_told": ("exchange_id", "started_at", "agent", *names_of(Ran), "covers", "unsure", "meets"),
    "attempts": names_of(AttemptRow),
    "policy_loads": ("hash", "loaded_at", "git", "run", "slot", "boot"),
    "policy_files": ("hash", "path", "text"),
    "policy_rules_loaded": ("hash", *names_of(RuleRow)),
    "prompts_loaded": (*names_of(KeptRow), "run", "slot", "boot"),
    "prompts_rendered": names_of(RenderedRow),
    "prompt_moves": _timed(MovedRow, "moved_at"),
    "experiment_changes": _timed(ExperimentRow, "changed_at"),
    "experiment_looks_told": _timed(LookRow, "looked_at"),
    "boots": names_of(Booted),
    "approval_changes": names_of(ApprovalRow),
    "questions": names_of(AskedRow),
    "content_reads_told": _timed(ReadRow, "read_at"),
    "erasures_told": _timed(ErasureRow, "erased_at"),
    "feedback_told": _timed(FeedbackRow, "given_at"),
    "session_changes": names_of(SessionRow),
    "access_changes_told": names_of(AccessRow),
    "budget_resets": ("id", "reset_at", "who", "budget", "subject", "why"),
    "cost_revisions": ("revision", "revised_at", "who", *names_of(RevisedRow)),
}  # fmt: skip
"""The ledger's tables of facts and the order of values in their rows; those of content are in `bodies.py`."""


class Step(Struct):
    """Rows to be written after the boot (if any) has ended what was left open."""

    booted: Booted | None = None
    opened: dict[str, Row] = field(default_factory=dict)
    """By exchange id; those still open at the end of the step."""
    ended: dict[str, Row] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By table: everything else."""
    ended_rows: list[ExchangeRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    count: int = 0

    def add(self, table: str, rows: Iterable[Row]) -> None:
        self.rows.setdefault(table, []).extend(rows)


def fold(parts: Iterable[tuple[Segment, Iterable[Record]]]) -> list[Step]:
    """Steps in the order in which they must be applied."""
    steps = [Step()]
    for segment, records in parts:
        for record in records:
            if isinstance(record, Booted):
                steps.append(Step(booted=record))
                steps[-1].add("boots", [msgspec.structs.astuple(record)])
            else:
                _take(steps[-1], segment, record)
            steps[-1].count += 1
    return [step for step in steps if step.count]


_WITHHOLDING = frozenset({"deny", "redact", "repair"})
"""Effects of a rule by which an answer may not be given as it is."""
_SINGLE: dict[type[Told], tuple[str, str]] = {
    AccessChanged: ("access_changes_told", "access"),
    ApprovalChanged: ("approval_changes", "approval"),
    Asked: ("questions", "question"),
    ContentRead: ("content_reads_told", "read"),
    ExperimentChanged: ("experiment_changes", "change"),
    Erased: ("erasures_told", "erasure"),
    FeedbackGiven: ("feedback_told", "feedback"),
    PromptMoved: ("prompt_moves", "moved"),
    SessionChanged: ("session_changes", "session"),
    Mirrored: ("attempts", "attempt"),
}
"""Records of one row: its table, and the field that holds it."""


def _take(step: Step, segment: Segment, record: Told) -> None:
    origin = (segment.run, segment.slot, segment.boot)
    match record:
        case Opened(exchange):
            step.opened[exchange.id] = msgspec.structs.astuple(exchange) + origin
            _rendered(step, record.rendered)
        case Decided(call):
            _calls(step, (call,))
        case Ended(exchange, calls):
            step.opened.pop(exchange.id, None)
            step.ended[exchange.id] = msgspec.structs.astuple(exchange) + origin
            step.ended_rows.append(exchange)
            _calls(step, calls)
            step.add("rule_hits", map(_heard, record.heard))
            step.add("findings", _findings(exchange.id, exchange.started_us, record.findings))
            step.add("validations_told", _validations(exchange, record.ran))
            _rendered(step, record.rendered)
            step.add("attempts", map(msgspec.structs.astuple, record.attempts))
        case Judged(exchange_id, started_us, agent, ran, findings, heard):
            step.add("rule_hits", map(_heard, heard))
            step.add("findings", _findings(exchange_id, started_us, findings))
            rows = ((exchange_id, started_us, agent, *msgspec.structs.astuple(each), "later", None, None) for each in ran)
            step.add("validations_told", rows)
        case PolicyLoaded(policy):
            step.add("policy_loads", [(policy.hash, policy.loaded_us, policy.git, *origin)])
            step.add("policy_files", ((policy.hash, path, text) for path, text in policy.files))
            step.add("policy_rules_loaded", ((policy.hash, *msgspec.structs.astuple(rule)) for rule in policy.rules))
        case PromptsLoaded(prompts):
            step.add("prompts_loaded", (msgspec.structs.astuple(each) + origin for each in prompts))
        case CostsRevised(revision, at_us, who, costs):
            step.add("cost_revisions", ((revision, at_us, who, *msgspec.structs.astuple(each)) for each in costs))
        case ExperimentLooked(looks):
            step.add("experiment_looks_told", map(msgspec.structs.astuple, looks))
        case BudgetReset():
            step.add("budget_resets", [msgspec.structs.astuple(record)])
        case _:
            table, row = _SINGLE[type(record)]
            step.add(table, [msgspec.structs.astuple(getattr(record, row))])


def _rendered(step: Step, row: RenderedRow | None) -> None:
    if row is not None:
        step.add("prompts_rendered", [msgspec.structs.astuple(row)])


def _calls(step: Step, calls: tuple[CallRow, ...]) -> None:
    step.calls.extend(calls)
    step.add("calls", (msgspec.structs.astuple(call)[:-1] for call in calls))
    step.add("rule_hits", (hit for call in calls for hit in _hits(call)))


def _hits(call: CallRow) -> Iterator[Row]:
    for hit in call.hits:
        at = (call.exchange_id, call.id, call.decided_us)
        yield (*at, hit.policy, hit.rule, hit.effect, hit.mode, hit.error, hit.message, hit.line, "tool_call", None, None, None, None)


def _heard(row: HeardRow) -> Row:
    said = (row.policy, row.rule, row.effect, row.mode, row.error, row.message, row.line)
    return (row.exchange_id, "", row.heard_us, *said, row.hook, row.path, row.detector or None, row.action, row.original or None)


def _findings(exchange: str, started_us: int, findings: Iterable[Finding]) -> Iterator[Row]:
    for each in findings:
        told = (each.validator, each.code, each.severity, each.path, each.detail, each.action)
        by = (each.version or None, each.policy or None, each.rule or None, each.span_hash or None, each.score)
        yield (exchange, started_us, *told, *by)


def _validations(exchange: ExchangeRow, ran: Sequence[Ran]) -> Iterator[Row]:
    """One of the rows of a validator says what all of them come to, and one of those that may withhold: so nobody has to gather the rows
    of an exchange to count it."""
    output = exchange.operation == "chat" and exchange.state in ("complete", "denied")
    by_validator: dict[str, list[Ran]] = {}
    for each in ran:
        if each.hook == "output":
            by_validator.setdefault(each.validator, []).append(each)
    controls = [each for each in ran if _controls(each)]
    for each in ran:
        covers, unsure = _covered(by_validator.pop(each.validator, ())) if output and each.hook == "output" else (None, None)
        meets = _met(controls) if controls and each is controls[0] else None
        yield (exchange.id, exchange.started_us, exchange.agent, *msgspec.structs.astuple(each), covers, unsure, meets)


def _controls(ran: Ran) -> bool:
    return ran.hook == "output" and ran.mode == "enforce" and ran.effect in _WITHHOLDING and ran.outcome != "not_drawn"


def _covered(ran: Sequence[Ran]) -> tuple[str | None, bool | None]:
    """Of one validator, at output: whether it had looked `before` the first byte left, `after` or at `nothing`; whether it is unsure."""
    if not ran:
        return None, None
    looked = [each for each in ran if each.outcome in ("passed", "hit")]
    when = "before" if any(each.before for each in looked) else "after" if looked else "nothing"
    return when, any(each.outcome == "unevaluated" for each in ran)


def _met(ran: Sequence[Ran]) -> str:
    outcomes = {each.outcome for each in ran}
    return "met" if outcomes == {"passed"} else "unevaluated" if "unevaluated" in outcomes else "missed"
