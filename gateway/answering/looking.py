"""The gateway's own look at an answer that has ended: what rules have not asked already, and on record in any case.

The text is the one that leaves, or has left: rules have had their say. An answer that did not end is not looked at, and no row says it was.
"""

from __future__ import annotations

from gateway.validators import text_calls
from gateway.validators.looks import NOTHING, Look
from gateway.validators.validator import Subject
from gateway.verdict import Finding, Outcome, Ran
from gateway.visit import Visit

_TEXT_CALLS = f"text_calls/{text_calls.VERSION}"


def look(visit: Visit) -> None:
    x = visit.x
    if x.request is None or x.request.operation != "chat" or x.state not in ("complete", "denied"):
        return
    rows = [row for row in x.ran if row.hook == "output"]
    asked = frozenset(row.validator for row in rows if row.outcome != "not_drawn")
    subject = Subject(x.answer.text, finish=" ".join(x.answer.finish), calls=len(x.calls), cut=x.answer.cut)
    told = frozenset(row.validator for row in rows)
    x.looked_before = not visit.begun
    for one in visit.gateway.looks.at(subject, asked):
        _tell(visit, one, told)
    _text_calls(visit, told)


def _tell(visit: Visit, one: Look, told: frozenset[str]) -> None:
    """Without a row of its own where there is nothing to say but that it looked, and no rule's row has the same name."""
    said = one.said
    if said == NOTHING and one.name not in told:
        visit.x.looked.append(f"{one.name}/{one.version}")
        return
    outcome: Outcome = "unevaluated" if said.problem else "hit" if said.hits else "passed"
    before = visit.x.looked_before
    visit.x.ran.append(Ran(one.name, one.version, outcome=outcome, before=before, seen=len(said.hits), score=said.score))
    visit.x.findings += _findings(visit, one)


def _findings(visit: Visit, one: Look) -> list[Finding]:
    """Each value once, as a keyed hash."""
    text, address = visit.x.answer.text, visit.gateway.scribe.hands.address
    if one.said.problem:
        return [Finding(one.name, "unevaluated", "warn", "answer", one.said.problem, version=one.version, rule="default")]
    found: dict[tuple[str, str], Finding] = {}
    for seen in one.said.seen:
        words = address(text[seen.start : seen.end].encode("utf-8", "surrogatepass")) if seen.end > seen.start else ""
        place = f"answer.{seen.path}" if seen.path else "answer"
        by = (one.version, "", "default", words, seen.score)
        finding = Finding(one.name, seen.code, seen.severity, place, seen.detail, "none", *by)
        found.setdefault((seen.code, words or seen.detail), finding)
    return list(found.values())


def _text_calls(visit: Visit, told: frozenset[str]) -> None:
    x, request = visit.x, visit.x.request
    if request is None or not request.tools:
        return
    found = text_calls.check(x.answer.text, (tool.name for tool in request.tools)) if x.answer.text else ()
    if not found and not x.answer.cut and "text_calls" not in told:
        x.looked.append(_TEXT_CALLS)
        return
    x.findings.extend(found)
    outcome: Outcome = "hit" if found else "unevaluated" if x.answer.cut else "passed"
    x.ran.append(Ran("text_calls", text_calls.VERSION, outcome=outcome, before=x.looked_before, seen=len(found)))
