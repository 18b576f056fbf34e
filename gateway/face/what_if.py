"""What if a policy were another: a text that somebody pastes or edits is put among the files of the folder, and recorded calls are judged
again with it. Nothing is written but that the calls were read.

1. A call is compared with what is on record of it. Where the policies that decided it, asked the same way, no longer say what is on record
   (a limit was spent, a label of the key counted, a person or a model was asked), the comparison would show that and not the new text: such
   a call is counted as one that cannot be judged again.
2. What would change tells of what was said: a condition is a question about arguments. So whoever asks must be allowed to read content,
   and the reading is on record before it begins.
3. It takes `SECONDS` at the most, newest calls first, and says how far it came.
"""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import FileProblems, GatewayError, Problem
from gateway.face import conversations, decisions, policy_texts
from gateway.face.page import Asked, House, unavailable, whole
from gateway.policy import PolicySet, load, may_be_policy
from gateway.policy_folder import read
from gateway.stores import Refused
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead

ALONE, BESIDE = "alone", "beside"
PASTED = "pasted.yaml"
MOST_TEXT = 200_000
HOURS, MOST_HOURS = 24, 31 * 24
MOST_CALLS, MOST_SHOWN = 1000, 200
SECONDS = 8.0
Files = Mapping[str, bytes]


async def policies(house: House, sent: Mapping[str, str]) -> PolicySet:
    """With `text` in its `place`: alone, beside the folder's files, or instead of the file that is named. Raises FileProblems with what is
    wrong with it, GatewayError."""
    text, place = sent.get("text", "").replace("\r\n", "\n"), sent.get("place", ALONE)
    if not text.strip():
        raise FileProblems([Problem(PASTED, 1, 1, "there is no text; paste a policy, a YAML file that begins with 'policy: 1'")])
    if len(text) > MOST_TEXT:
        raise GatewayError("bad_request", "too_large", f"A policy may have {MOST_TEXT} characters here; use 'tollhouse policy eval'.")
    return await asyncio.to_thread(_with, text, place, house.settings.policies)


def _with(text: str, place: str, folder: str | None) -> PolicySet:
    there = read(Path(folder)) if folder is not None else {}
    if place == ALONE:
        there = {name: body for name, body in there.items() if not may_be_policy(name)}
    elif place != BESIDE and place not in there:
        raise GatewayError("bad_request", "unknown_file", "'place' is 'alone', 'beside' or a file of the folder; load the page again.")
    name = PASTED if place in (ALONE, BESIDE) else place
    found = load({**there, name: text.encode("utf-8", "replace")})
    if not found.policies:
        raise FileProblems([Problem(name, 1, 1, "it applies to nobody; say whom it is for, such as agents: ['*']")])
    return found


async def asked_what_if(house: House, asked: Asked) -> dict[str, Any] | None:
    """What came of the form; None where none was sent. Raises GatewayError, JournalUnavailable."""
    if not asked.sent:
        return None
    if not asked.person.may("see-content"):
        message = "What would change tells of what was said, so it takes the right see-content. Ask somebody who has it."
        raise GatewayError("refused", "no_right", message)
    said = {"text": asked.sent.get("text", ""), "place": asked.sent.get("place", ALONE), "problems": (), "result": None}
    hours = whole(Asked(asked.person, asked.sent), "hours", HOURS, MOST_HOURS)
    try:
        other = await policies(house, asked.sent)
    except FileProblems as wrong:
        return {**said, "hours": hours, "problems": [_told(each) for each in wrong.problems]}
    return {**said, "hours": hours, "result": await judged_again(house, asked, other, hours)}


def _told(problem: Problem) -> dict[str, Any]:
    told = {name: getattr(problem, name) for name in ("file", "line", "column", "message", "source", "code", "severity")}
    return {**told, "caret": " " * max(0, problem.column - 1) + "^"}


async def judged_again(house: House, asked: Asked, other: PolicySet, hours: int) -> dict[str, Any]:
    """The calls of the last hours under these policies. Raises GatewayError, JournalUnavailable."""
    since = house.now() - dt.timedelta(hours=hours)
    try:
        found = await asyncio.to_thread(house.reader.proposals, since, MOST_CALLS + 1)
    except Refused as refused:
        raise unavailable(refused) from refused
    subject = f"calls since {since.isoformat(timespec='seconds')}Z, judged again"
    await house.write(ContentRead(ReadRow(house.new_id(), house.now_us(), asked.person.name, "list", subject, "", len(found))))
    names = {each["call"]["policy_hash"] for each in found}
    before = {name: (await policy_texts.version(house, name))[0] for name in names if name}
    return await asyncio.to_thread(_compared, found[:MOST_CALLS], before, other, more=len(found) > MOST_CALLS)


def _compared(found: Sequence[Mapping[str, Any]], before: Mapping[str, PolicySet], other: PolicySet, *, more: bool) -> dict[str, Any]:
    until, said = time.monotonic() + SECONDS, _Once()
    changes, counts = list[dict[str, Any]](), collections.Counter[str]()
    moves = collections.Counter[tuple[str, str]]()
    for each in found:
        if time.monotonic() > until:
            break
        call, told = each["call"], said.of(each["messages"])
        counts["calls"] += 1
        now = _verdict(other, each, told)
        if now is None or not _told_again(before, each, told):
            counts["not_again"] += 1
        elif now["effect"] != call["effect"]:
            moves[call["effect"], now["effect"]] += 1
            changes.append(_change(call, now))
        else:
            counts["same"] += 1
    return {
        **{name: counts[name] for name in ("calls", "same", "not_again")},
        "changed": len(changes),
        "cut": more or counts["calls"] < len(found),
        "moves": [{"was": was, "now": now, "calls": count} for (was, now), count in moves.most_common()],
        "changes": changes[:MOST_SHOWN],
    }


def _change(call: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: call[name] for name in ("decided_at", "agent", "id", "exchange_id")}
    return {**known, "tool": call["name"], "was": call["effect"], "was_rule": f"{call['policy'] or ''} {call['rule'] or ''}".strip(), **now}


def _told_again(before: Mapping[str, PolicySet], each: Mapping[str, Any], said: conversations.Said) -> bool:
    """Whether what decided says the same once more. Of a call that was only observed nothing did."""
    call = each["call"]
    if not call["policy_hash"]:
        return True
    was = _verdict(before[call["policy_hash"]], each, said)
    return was is not None and was["effect"] == call["effect"]


def _verdict(policies: PolicySet, each: Mapping[str, Any], said: conversations.Said) -> dict[str, Any] | None:
    """None where they hold nothing, or the call cannot be described any more."""
    try:
        verdict = decisions.again(policies, each["call"], each["exchange"], said)
    except ValueError:
        return None
    if verdict is None:
        return None
    return {"effect": verdict.effect, "rule": f"{verdict.policy} {verdict.rule}".strip(), "reason": verdict.reason}


class _Once:
    """Messages are read once, however many requests of a session repeat them."""

    def __init__(self) -> None:
        self._read: dict[str, conversations.Said] = {}

    def of(self, messages: Sequence[Mapping[str, Any]]) -> conversations.Said:
        return [said for each in messages for said in self._one(each)]

    def _one(self, message: Mapping[str, Any]) -> conversations.Said:
        if message["hash"] not in self._read:
            self._read[message["hash"]] = conversations.one(message) or []
        return self._read[message["hash"]]
