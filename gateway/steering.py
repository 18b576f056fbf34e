"""What a denial does besides explaining itself: the model is asked again and told of it, or the answer becomes an error.

What a rule with `effect: repair` does not let pass is asked for again as well, with what was wrong with it, as often as the rule says.

Both only while nothing has left that a client takes for the answer. A model is asked again at most `MOST_ROUNDS` times, only when every
call of its turn was withheld (a granted one is the client's to run), and what all rounds cost is on the record. Whatever stands in the way
of asking again ends in the explanation, which is ready by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from gateway.answer import TOKENS, Answer, Usage
from gateway.errors import GatewayError
from gateway.request import Owed, Request
from gateway.verdict import Call, Finding, OnDeny, Verdict
from gateway.visit import Visit, Withheld

MOST_ROUNDS = 2


def refused(visit: Visit) -> list[tuple[Call, str]]:
    """The withheld calls of the running round, each with what is said of it; nothing when a call was released."""
    return [] if _granted(visit) else [(call, text) for call, _, text in visit.round]


def _granted(visit: Visit) -> bool:
    return any(not text for _, _, text in visit.round)


def error_of(visit: Visit, *, last: bool = False) -> GatewayError | None:
    """The error that a denial of this round asks for; none beside a granted call, which is on record as delivered. `last`: the answer will
    not be had anew."""
    if (repairs(visit) and not last) or _granted(visit):
        return None
    if visit.withheld is not None and visit.withheld.verdict.on_deny == "error":
        return GatewayError("refused", "policy_denied", visit.withheld.text)
    if not refused(visit):
        return None
    text = next((text for _, verdict, text in visit.round if _reaction(verdict) == "error"), None)
    return None if text is None else GatewayError("refused", "policy_denied", text)


def next_request(visit: Visit, request: Request, answer: Answer) -> bytes | None:
    """The body with which the model is asked again; None when it is not."""
    calls = refused(visit)
    if visit.stopped or request.operation != "chat" or visit.again is None:
        return None
    if visit.withheld is not None:  # a rule has ended this answer: that stands, unless it asks for another one
        return _repaired(visit, request, answer) if repairs(visit) else None
    if not calls or len(visit.x.earlier) - visit.repaired >= MOST_ROUNDS:
        return None
    if any(_reaction(verdict) != "steer" or call.problem for call, verdict, _ in visit.round):
        return None
    return visit.incoming.dialect.steered(request, answer, calls)


def repairs(visit: Visit) -> bool:
    """Whether the answer may be written anew."""
    return visit.withheld is not None and visit.repaired < visit.withheld.rounds


def _repaired(visit: Visit, request: Request, answer: Answer) -> bytes | None:
    """Told beside each call that the answer proposed, where it proposed any."""
    said = _ANEW.format(failed=" ".join(visit.withheld.failed if visit.withheld else ()))
    calls = [call for call, _, _ in visit.round]
    if any(call.problem for call in calls):
        return None
    dialect = visit.incoming.dialect
    return dialect.steered(request, answer, [(call, said) for call in calls]) if calls else dialect.repaired(request, answer, said)


_ANEW = (
    "Your last answer was not delivered, because it does not meet what is asked of it: {failed} "
    "Write the whole answer again so that it does."
)


def _reaction(verdict: Verdict) -> OnDeny:
    """A call that waits for a person is not denied: that it waits is explained."""
    return verdict.on_deny if verdict.effect == "deny" else "explain"


def begin_round(visit: Visit, answer: Answer) -> None:
    """Puts the answer that nobody sees on the record."""
    x = visit.x
    x.earlier.append(answer.usage)
    if visit.stream is not None:
        x.findings.extend(visit.stream.findings)
    x.findings.append(_repairing(visit, visit.withheld) if visit.withheld is not None else _steering(visit))
    x.answer, visit.stream = Answer(model=answer.model), None
    visit.round.clear()
    visit.screening = visit.keys = visit.output = None
    visit.owed.clear()
    visit.opening, visit.finishing, visit.provider_left = b"", False, False


def _steering(visit: Visit) -> Finding:
    names = ", ".join(sorted({call.name for call, _, _ in visit.round}))
    detail = f"the model was told that its calls were refused ({names}), and asked again"
    return Finding("policy", "steered", "info", f"round[{len(visit.x.earlier)}]", detail)


def _repairing(visit: Visit, withheld: Withheld) -> Finding:
    """The denial is taken back: the client will see another answer."""
    x, by = visit.x, withheld.verdict
    visit.withheld, visit.denied = None, ""
    visit.repaired += 1
    x.findings.remove(withheld.finding)
    detail = "the model was told what its answer does not meet, and asked again"
    return Finding("policy", "repaired", "info", f"round[{len(x.earlier)}]", detail, "repaired", policy=by.policy, rule=by.rule)


def return_to(visit: Visit, answer: Answer, owed: Sequence[Owed], withheld: Withheld | None) -> None:
    """Takes up the answer before the running one, which came to nothing."""
    x = visit.x
    if visit.stream is not None:
        x.findings.extend(visit.stream.findings)
    x.answer, visit.stream = answer, None
    visit.owed[:] = owed
    visit.withheld = withheld
    if withheld is not None and withheld.finding not in x.findings:
        x.findings.append(withheld.finding)
    visit.broken, visit.provider_left, visit.opening = None, False, b""


def total(each: Sequence[Usage | None]) -> Usage | None:
    """What all rounds took, at least one; unknown as soon as one of them is."""
    rounds = [usage for usage in each if usage is not None]
    if len(rounds) < len(each):
        return None
    if len(rounds) == 1:
        return rounds[0]
    counts = {name: _sum([getattr(usage, name) for usage in rounds]) for name in (*TOKENS, "searches")}
    charges = [usage.charged for usage in rounds]
    charged = None if None in charges else sum((charge for charge in charges if charge is not None), Decimal(0))
    fees = tuple(sorted({fee for usage in rounds for fee in usage.fees}))
    return msgspec.structs.replace(rounds[-1], **counts, fees=fees, charged=charged)


def _sum(counts: list[int | None]) -> int | None:
    """A class of tokens that no answer names stays unnamed."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
