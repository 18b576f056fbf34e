"""Policies: what is in force and what lies in the folder, how often each rule spoke and which never did, each file with its lines; and what
another text would change (`what_if`).

A rule is the same while its policy and its id are, under any version; a grant is the same while its line is, too. Hits are counted over all
time and over the last `days`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import FileProblems, GatewayError, StartError
from gateway.face import policy_texts
from gateway.face.page import Asked, House, Page, Rows, whole
from gateway.face.what_if import ALONE, BESIDE, asked_what_if
from gateway.installation import load_policies
from gateway.policy import EMPTY, PolicySet
from gateway.trace.loaded import policy_row

_VERSIONS = "SELECT hash, git, first_loaded, last_loaded, loads FROM policy_versions ORDER BY last_loaded DESC, hash LIMIT 20"
_HITS = """
SELECT policy, rule, CASE WHEN rule IN ('allow', 'default') THEN line END AS line, sum(hits)::BIGINT AS hits, max(last_seen) AS last_fired,
       coalesce(sum(hits) FILTER (day >= $since::DATE), 0)::BIGINT AS lately
FROM rule_sums GROUP BY ALL
"""
_NEVER: Mapping[str, Any] = {"hits": 0, "lately": 0, "last_fired": None}
DAYS, MOST_DAYS = 30, 3650
FOLDER = "folder"
"""Says in an address: the files as they lie in the folder now, not a version that was in force."""


async def data(house: House, asked: Asked) -> dict[str, Any]:
    days = whole(asked, "days", DAYS, MOST_DAYS)
    versions, hits = await asyncio.gather(house.ask(_VERSIONS), _hits(house, days))
    there, problems = await _in_folder(house)
    in_force = versions[0]["hash"] if versions else None
    decides, texts = await policy_texts.version(house, in_force)
    shown = decides if decides.policies else there
    rules = _rules(shown, hits)
    return {
        "days": days,
        "folder": house.settings.policies,
        "versions": versions,
        "in_force": versions[0] if versions else None,
        "differs": bool(there.hash and in_force and there.hash != in_force),
        "not_in_force": bool(there.hash and not in_force),
        "problems": problems,
        "files": _files(shown, rules),
        "others": sorted(set(texts or dict(there.files)) - {each["file"] for each in rules} - set(_named(shown))),
        "rules": rules,
        "never": sum(each["hits"] == 0 for each in rules),
        "what_if": await asked_what_if(house, asked),
        "places": {ALONE: "alone", BESIDE: "beside the files of the folder"},
        "may_ask": asked.person.may("see-content"),
    }


async def source(house: House, asked: Asked) -> dict[str, Any]:
    """One file. Raises GatewayError."""
    days, file = whole(asked, "days", DAYS, MOST_DAYS), asked.params.get("file") or asked.subject
    versions, hits = await asyncio.gather(house.ask(_VERSIONS), _hits(house, days))
    wanted = asked.params.get("version") or (versions[0]["hash"] if versions else FOLDER)
    found, texts, wrong = await _version(house, wanted, file)
    problems = [each for each in wrong if each["file"] == file]
    if file not in texts:
        message = f"There is no file '{file[:200]}' in this version of the policies; the page of policies lists those there are."
        raise GatewayError("not_found", "unknown_file", message)
    rules = [each for each in _rules(found, hits) if each["file"] == file]
    return {
        "file": file,
        "days": days,
        "version": wanted,
        "versions": versions,
        "policy": next(iter(_files(found, rules, file)), None),
        "problems": problems,
        "lines": _lines(texts[file], rules, problems),
        "rules": rules,
        "text": texts[file],
        "what_if": await asked_what_if(house, asked),
        "places": {file: "in the place of this file", ALONE: "alone", BESIDE: "beside the files of the folder"},
        "may_ask": asked.person.may("see-content"),
    }


async def _version(house: House, wanted: str, file: str) -> tuple[PolicySet, Mapping[str, str], Rows]:
    if wanted == FOLDER:
        found, problems = await _in_folder(house)
        return found, dict(found.files) or await asyncio.to_thread(policy_texts.lying, house, file), problems
    found, texts = await policy_texts.version(house, wanted)
    return found, texts, []


async def _in_folder(house: House) -> tuple[PolicySet, Rows]:
    """As the files lie there now, and what is wrong with them."""
    try:
        return await asyncio.to_thread(load_policies, house.settings), []
    except FileProblems as wrong:
        return EMPTY, [{name: getattr(each, name) for name in ("file", "line", "column", "message", "code")} for each in wrong.problems]
    except StartError as wrong:
        return EMPTY, [{"file": str(house.settings.policies), "line": 0, "column": 0, "message": str(wrong), "code": ""}]


async def _hits(house: House, days: int) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    since = (house.now() - dt.timedelta(days=days)).date().isoformat()
    rows = await house.ask(_HITS, {"since": since})
    return {(row["policy"], row["rule"], row["line"]): row for row in rows}


def _rules(policies: PolicySet, hits: Mapping[tuple[str, str, int | None], Mapping[str, Any]]) -> Rows:
    """In the order in which they are written."""
    found = []
    for rule in policy_row(policies, 0).rules:
        hit = hits.get((rule.policy, rule.rule, rule.line if rule.rule == "allow" else None), _NEVER)
        told = {name: getattr(rule, name) for name in ("policy", "rule", "kind", "effect", "mode", "file", "line")}
        found.append({**told, "tools": ", ".join(rule.tools), **{name: hit[name] for name in _NEVER}})
    return sorted(found, key=lambda each: (each["file"], each["line"]))


def _files(policies: PolicySet, rules: Rows, only: str = "") -> Rows:
    every = (*policies.policies, *policies.libraries)
    return [
        {
            "file": each.file,
            "policy": each.id,
            "agents": list(each.agents) if each.agents is not None else None,
            "mode": each.mode,
            "default": each.default,
            "tests": len(each.layers[0].tests),
            "includes": [layer.file for layer in each.layers[1:]],
            **_sums([rule for rule in rules if rule["file"] == each.file]),
        }
        for each in sorted(every, key=lambda each: each.file)
        if not only or each.file == only
    ]


def _named(policies: PolicySet) -> Sequence[str]:
    return [each.file for each in (*policies.policies, *policies.libraries)]


def _sums(rules: Rows) -> dict[str, Any]:
    fired = [each["last_fired"] for each in rules if each["last_fired"]]
    counts = {name: sum(each[name] for each in rules) for name in ("hits", "lately")}
    return {"rules": len(rules), "never": sum(each["hits"] == 0 for each in rules), **counts, "last_fired": max(fired, default=None)}


def _lines(text: str, rules: Rows, problems: Rows) -> Rows:
    def at(found: Rows, number: int) -> Rows:
        return [each for each in found if each["line"] == number]

    return [
        {"number": n, "text": line, "rules": at(rules, n), "problems": at(problems, n)} for n, line in enumerate(text.splitlines(), 1)
    ]


PAGE = Page("Policies", "/policies", "see-metadata", data, "policies.html", rows="rules", takes_form=True)
FILE = Page(
    "Policy file", "/policies/{subject:path}", "see-metadata", source, "policy_file.html", rows="rules", linked=False, takes_form=True
)
