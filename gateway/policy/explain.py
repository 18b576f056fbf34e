"""What an agent reads in the place of a withheld call.

The first line is plain, for the model and the person behind it: what was withheld, that it was not
executed, and whether repeating it can help. The tail in brackets is for machines and for looking the
decision up. The text is one line: names and messages of strangers cannot add another.
"""

from __future__ import annotations

from gateway.policy.wording import clean_name, one_line
from gateway.verdict import Call, Verdict

APPROVAL_PENDING = "approval_pending"
"""Code of a call that a person has not decided about yet."""

_NEVER = "Do not retry the same call; use another tool or ask the user."
_ENDED = "This session is stopped: its further requests are refused until an operator resumes it. Tell the user."
_LATER = "Tell the user. Once it is approved, make exactly the same call again; repeating it before does not help."


def denial_text(verdict: Verdict, call: Call, decision_id: str, *, stopped: bool = False) -> str:
    """One line, at most about 1000 characters. `stopped`: this denial ended the session, or one before it in the same answer did."""
    what = f'The call of tool "{call.name}"' if clean_name(call.name) else "A tool call"
    advice = _ENDED if stopped else _LATER if verdict.code == APPROVAL_PENDING else _NEVER
    said = f"{one_line(verdict.reason)} {_waiting(verdict)}".strip()
    return f"{what} {_blocked(verdict)} and was NOT executed. {said} {advice} [{_tail(verdict, decision_id)}]"


def withheld_text(verdict: Verdict, decision_id: str) -> str:
    """In the place of an answer, or of the rest of one, that may not be given; also for the model, which reads it as its own words."""
    said = one_line(verdict.reason)
    return f"[The answer was withheld from here on by {_by(verdict)}. {said} Do not say it in other words. {_tail(verdict, decision_id)}]"


def _blocked(verdict: Verdict) -> str:
    if verdict.effect == "ask":
        return "needs approval"
    return f"was denied by {one_line(verdict.decided_by, 80)}" if verdict.decided_by else f"was blocked by {_by(verdict)}"


def _waiting(verdict: Verdict) -> str:
    return f"Approval pending: {one_line(verdict.approval, 80)}." if verdict.code == APPROVAL_PENDING else ""


def _by(verdict: Verdict) -> str:
    if not verdict.policy:
        return "the gateway"
    rule = f" (rule {verdict.rule})" if verdict.rule not in ("", "default") else ""
    return f'policy "{verdict.policy}"{rule}'


def _tail(verdict: Verdict, decision_id: str) -> str:
    approval = f" approval {one_line(verdict.approval, 80)};" if verdict.approval else ""
    return f"{one_line(verdict.effect)} {one_line(verdict.code, 64)};{approval} decision {one_line(decision_id, 80)}"
