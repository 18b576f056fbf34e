"""One exchange: what was asked, what the model proposed, what became of it under which rule, what the agent got.

Who may read content sees all of it, opened where it is sealed, and the reading is on record before the page is sent. Others see the same
page without what people and models wrote. Policies are everybody's: who is bound to teams sees which rules spoke and what they said, not
how they are written, and cannot ask a call again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import FileProblems, GatewayError
from gateway.face import decisions, differences, policy_texts, what_if
from gateway.face.conversations import conversation
from gateway.face.own import refusal
from gateway.face.page import Asked, House, Page, Rows, unavailable
from gateway.policy import PolicySet, denial_text
from gateway.stores import Refused
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead
from gateway.verdict import NOT_DELIVERED, Call, Verdict

_WRITTEN = frozenset({
    "input_preview", "output_preview", "error_message", "arguments", "reason", "message", "comment", "edited", "detail", "body", "system",
    "tools", "variables", "source", "url",
})  # fmt: skip
"""Columns that hold what people and models wrote, or quote it."""
_VERSIONS = "SELECT hash, last_loaded FROM policy_versions ORDER BY last_loaded DESC LIMIT 10"


async def data(house: House, asked: Asked) -> dict[str, Any]:
    if house.teams is not None and (asked.sent or "against" in asked.params):
        raise refusal()
    found = await _found(house, asked.subject)
    legible = asked.person.may("see-content")
    if legible:
        row = ReadRow(house.new_id(), house.now_us(), asked.person.name, "exchange", asked.subject)
        await house.write(ContentRead(row))
    else:
        found = _without_texts(found)
    policies, files = await policy_texts.version(house, found["exchange"]["policy_hash"])
    said, illegible = conversation(found["messages"], len(found["exchange"]["request_messages"] or ())) if legible else ([], "")
    against, versions = asked.params.get("against", ""), await house.ask(_VERSIONS)
    other, wrong = await _pasted(house, asked) if asked.sent else await _other(house, against, versions)
    told = [_call(each, found, said, policies, files, legible=legible) for each in found["calls"]]
    calls = [{**each, "again": _again(other, each, found, said) if legible and other else None} for each in told]
    return {
        **found,
        "said": said,
        "illegible": illegible,
        "calls": calls,
        "tests": _tests(calls),
        "pasted": asked.sent.get("text", ""),
        "example": next(iter(files.values()), ""),
        "about_texts": [each for each in found["rules"] if each["hook"] != "tool_call"],
        "versions": versions,
        "against": against,
        "wrong": wrong,
        "spans": _spans(found),
        "legible": legible,
        "may_ask_again": legible and house.teams is None,
    }


async def _found(house: House, name: str) -> dict[str, Any]:
    """Raises GatewayError."""
    try:
        found = await asyncio.to_thread(house.reader.exchange, name)
    except Refused as refused:
        raise unavailable(refused) from refused
    if found is None:
        message = "There is no exchange of that id, or the book does not have it yet (wait a second), or retention took it away."
        raise GatewayError("not_found", "unknown_exchange", message)
    return found


def _without_texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: None if name in _WRITTEN and isinstance(each, str) else _without_texts(each) for name, each in value.items()}
    return [_without_texts(each) for each in value] if isinstance(value, list) else value


def _call(
    row: Mapping[str, Any], found: Mapping[str, Any], said: Rows, policies: PolicySet, files: Mapping[str, str], *, legible: bool
) -> dict[str, Any]:
    hits = [each for each in found["rules"] if each["decision_id"] == row["id"]]
    exchange = found["exchange"]
    why = [
        {**msgspec.to_builtins(each), "source": _line(files, each.file, each.hit.line)}
        for each in decisions.explained(policies, row, exchange, hits)
    ]
    if not legible:
        return {**row, "why": _without_values(why), "origins": [], "case": None, "test": None, "stands": None, "got": None}
    args = decisions.arguments(row)
    made = decisions.as_case(row, exchange, said) if args is not None else None
    case = made if made is not None and decisions.describable(made) else None
    return {
        **row,
        "why": why,
        "origins": decisions.origins(args, said) if args else [],
        "case": case,
        "test": decisions.as_yaml(case) if case else None,
        "stands": next(iter(decisions.tested(policies, case)), None) if case else None,
        "got": _got(row, found["approvals"]),
    }


def _tests(calls: Rows) -> str:
    """All calls as tests: to go to the end of a policy file that has none yet."""
    cases = [each["case"] for each in calls if each.get("case")]
    return "tests:\n" + decisions.as_yaml(*cases) if cases else "# no call of this exchange can be described by a test\n"


def _without_values(why: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "values": {}, "hit": {**each["hit"], "message": ""}} for each in why]


def _line(files: Mapping[str, str], file: str, number: int) -> str:
    lines = files.get(file, "").splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _got(row: Mapping[str, Any], approvals: Rows) -> dict[str, Any]:
    """What the agent was handed in the place of the proposal, as far as the book can tell."""
    edited = next((each["edited"] for each in approvals if each["id"] == row["approval"] and each["edited"]), None)
    if row["released"]:
        changed = differences.of_json(row["arguments"] or "", edited) if edited else []
        return {"what": "edited" if edited else "released", "text": edited or row["arguments"], "changed": changed}
    if row["code"] == NOT_DELIVERED:
        return {"what": "nothing", "text": "", "changed": []}
    named = {name: row[name] or "" for name in ("code", "reason", "policy", "rule", "approval", "decided_by")}
    verdict = msgspec.convert({"effect": row["effect"], "released": False, **named}, Verdict)
    call = Call(row["call_id"], row["name"], row["arguments"] or "", None, row["index"])
    told = denial_text(verdict, call, row["id"])
    gone = [differences.Line("gone", each) for each in differences.spread(call.arguments).splitlines()]
    return {"what": "withheld", "text": told, "changed": [*gone, *(differences.Line("new", each) for each in told.splitlines())]}


async def _other(house: House, against: str, versions: Rows) -> tuple[PolicySet | None, str]:
    """The policies that are asked again. Raises GatewayError."""
    if not against:
        return None, ""
    if against == "now":
        policies, wrong = await policy_texts.present(house)
        return policies, wrong
    if against not in {each["hash"] for each in versions}:
        raise GatewayError("bad_request", "unknown_version", "'against' is 'now' or the hash of a version that the page lists.")
    policies, _ = await policy_texts.version(house, against)
    return policies, "" if policies.policies else "The book holds no whole text of this version that can still be read."


async def _pasted(house: House, asked: Asked) -> tuple[PolicySet | None, str]:
    """Raises GatewayError."""
    try:
        return await what_if.policies(house, asked.sent), ""
    except FileProblems as problems:
        return None, str(problems)


def _again(policies: PolicySet, row: Mapping[str, Any], found: Mapping[str, Any], said: Rows) -> dict[str, Any]:
    try:
        verdict = decisions.again(policies, row, found["exchange"], said)
    except ValueError as error:
        return _unasked(f"this call cannot be asked again: {error}"[:500])
    if verdict is None:
        return _unasked("no policy is in force there")
    told = {"effect": verdict.effect, "reason": verdict.reason, "policy": verdict.policy, "rule": verdict.rule}
    return {**told, "same": verdict.effect == row["effect"]}


def _unasked(reason: str) -> dict[str, Any]:
    return {"effect": "unevaluated", "reason": reason, "policy": "", "rule": "", "same": False}


def _spans(found: Mapping[str, Any]) -> Rows:
    """Microseconds from the beginning."""
    row = found["exchange"]
    began = _moment(row["started_at"])
    spans = [{"name": "exchange", "start": 0, "length": row["duration_us"], "kind": ""}]
    if row["first_byte_us"] is not None:
        spans.append({"name": "until the first byte", "start": 0, "length": row["first_byte_us"], "kind": ""})
    for each in found["calls"]:
        start = max(0.0, (_moment(each["decided_at"]) - began).total_seconds() * 1e6 - each["judged_us"])
        kind = "bar2" if each["released"] else "bad"
        spans.append({"name": f"judging {each['name']}", "start": start, "length": each["judged_us"], "kind": kind})
    return spans


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.removesuffix("Z"))


PAGE = Page(
    "Exchange", "/exchange/{subject}", "see-metadata", data, "exchange.html", linked=False, takes_form=True, text="tests", narrows=True
)
