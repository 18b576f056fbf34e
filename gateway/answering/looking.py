"""The gateway's own look at an answer that has ended: what rules have not asked already, and on record in any case.

The text is the one that leaves, or has left: rules have had their say. An answer that did not end is not looked at, and no row says it was.
"""

from __future__ import annotations

from gateway.exchange import Finding, Outcome, Ran
from gateway.validators import text_calls
from gateway.validators.looks import Look
from gateway.validators.validator import Subject
from gateway.visit import Visit


def look(visit: Visit) -> None:
    x = visit.x
    if x.request is None or x.request.operation != "chat" or x.state not in ("complete", "denied"):
        return
    asked = frozenset(row.validator for row in x.ran if row.hook == "output" and row.outcome != "not_drawn")
    subject = Subject(x.answer.text, finish=" ".join(x.answer.finish), calls=len(x.calls), cut=x.answer.cut)
    before = not visit.begun
    for one in visit.gateway.looks.at(subject, asked):
        x.ran.append(_row(one, before=before))
        x.findings += _findings(visit, one)
    _text_calls(visit, before=before)


def _row(one: Look, *, before: bool) -> Ran:
    said = one.said
    outcome: Outcome = "unevaluated" if said.problem else "hit" if said.hits else "passed"
    return Ran(one.name, one.version, outcome=outcome, before=before, seen=len(said.hits), score=said.score)


def _findings(visit: Visit, one: Look) -> list[Finding]:
    """Each value once, as a keyed hash."""
    text, address = visit.x.answer.text, visit.gateway.scribe.address
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


def _text_calls(visit: Visit, *, before: bool) -> None:
    request, text = visit.x.request, visit.x.answer.text
    if request is None or not request.tools:
        return
    found = text_calls.check(text, (tool.name for tool in request.tools)) if text else ()
    visit.x.findings.extend(found)
    outcome: Outcome = "hit" if found else "unevaluated" if visit.x.answer.cut else "passed"
    visit.x.ran.append(Ran("text_calls", text_calls.VERSION, outcome=outcome, before=before, seen=len(found)))
