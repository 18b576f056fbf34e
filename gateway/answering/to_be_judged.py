"""Which answers a model shall be asked about when they have left (`validate: [judge]`): worked out before the end is written, so that the
record says which rules were not drawn, and why a model will not be asked. What it then says comes in a record of its own (`judging`).

Not here: asking. Nothing of this waits, and an answer of an agent without such rules costs one look into a table.
"""

from __future__ import annotations

from gateway.afterwards import Due
from gateway.answering.screens import sight_of
from gateway.policy import running
from gateway.policy.policy_set import Watch
from gateway.policy.screen import Screen
from gateway.request import Request
from gateway.validators.use import Said, cut_off
from gateway.visit import Visit


def plan(visit: Visit) -> None:
    """May be asked again, where an exchange ends in another way than it was about to."""
    x = visit.x
    if visit.due is not None:
        visit.gateway.afterwards.give_back(visit.due)
        visit.due = None
    watches = visit.gateway.policies.afterwards(x.caller.agent)
    if not watches.guards or visit.incoming.own is not None or visit.court is None or x.request is None:
        return
    if x.request.operation != "chat" or x.state not in ("complete", "denied") or x.error_code or not x.answer.text:
        return
    rules = Screen("output", watches, sight_of(visit, visit.court, x.request))
    asked = [watch for watch, drawn, problem in rules.concerned(x.answer.text) if _is_asked(visit, watch, problem, drawn=drawn)]
    if not asked:
        return
    due = Due(x.id, x.started_us, x.caller, x.storing, _said(x.request), x.answer.text, tuple(asked))
    if visit.gateway.afterwards.reserve(due):
        visit.due = due
        return
    for watch in asked:
        _unasked(visit, watch, "more answers wait for a judge already than may wait; use a smaller 'sample'")


def hand_over(visit: Visit) -> None:
    """To whoever asks, once the end is on record."""
    due, visit.due = visit.due, None
    if due is None:
        return
    if visit.book.recorded:
        visit.gateway.afterwards.put(due)
    else:
        visit.gateway.afterwards.give_back(due)


def _is_asked(visit: Visit, watch: Watch, problem: str, *, drawn: bool) -> bool:
    use, x = watch.guard.afterwards, visit.x
    if use is None or use.question is None:
        return False
    if not drawn:
        x.ran.append(running.afterwards(watch, use, Said(), drawn=False))
        return False
    if not problem and x.answer.cut:
        problem = cut_off(x.answer.text)
    if not problem and len(x.answer.text) > use.validator.most:
        problem = f"the answer has {len(x.answer.text)} characters; {use.name} looks at {use.validator.most} at most"
    if not problem and x.storing == "metadata" and not use.question.always:
        problem = "only metadata of this key's exchanges is kept, so no model reads them; 'content: sent' in the rule lets it"
    if problem:
        _unasked(visit, watch, problem)
    return not problem


def _unasked(visit: Visit, watch: Watch, problem: str) -> None:
    use, said = watch.guard.afterwards, Said(problem=problem)
    if use is not None:
        visit.x.ran.append(running.afterwards(watch, use, said))
        visit.x.findings.extend(running.findings(watch, use, said, "answer", "none"))


def _said(request: Request) -> str:
    """What the user said last, without what documents and results beside it say."""
    users = (m.text if m.said is None else m.said for m in reversed(request.messages) if m.role == "user")
    return next(filter(None, users), "")
