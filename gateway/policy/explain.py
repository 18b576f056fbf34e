"""What an agent reads in the place of a withheld call.

The first line is plain, for the model and the person behind it: what was withheld, that it was not
executed, and that repeating it does not help. The tail in brackets is for machines and for looking the
decision up. The text is one line: names and messages of strangers cannot add another.
"""

from __future__ import annotations

from gateway.exchange import Call, Verdict
from gateway.policy.wording import clean_name, one_line


def denial_text(verdict: Verdict, call: Call, decision_id: str) -> str:
    """One line, at most about 800 characters."""
    what = f'The call of tool "{call.name}"' if clean_name(call.name) else "A tool call"
    blocked = "needs approval and" if verdict.effect == "ask" else f"was blocked by {_by(verdict)} and"
    advice = "Do not retry the same call; use another tool or ask the user."
    reason = one_line(verdict.reason)
    return f"{what} {blocked} was NOT executed. {reason} {advice} [{_tail(verdict, decision_id)}]"


def _by(verdict: Verdict) -> str:
    if not verdict.policy:
        return "the gateway"
    rule = f" (rule {verdict.rule})" if verdict.rule not in ("", "default") else ""
    return f'policy "{verdict.policy}"{rule}'


def _tail(verdict: Verdict, decision_id: str) -> str:
    return f"{one_line(verdict.effect)} {one_line(verdict.code, 64)}; decision {one_line(decision_id, 80)}"
