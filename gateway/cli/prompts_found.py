"""`tollhouse prompts changes` and `pin`: prompts that agents bring, from the book.

The texts are what the book keeps of them: without secrets where storing says so, and only names of tools where it keeps metadata.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.asking import ask
from gateway.errors import GatewayError
from gateway.prompt import pins
from gateway.prompt.comparing import Seen, collapsed
from gateway.prompt.fingerprint import canonical

_TEMPLATES = """
SELECT t.agent, t.template_hash, epoch_us(t.first_seen) AS first_us, epoch_us(t.last_seen) AS last_us, t.first_seen AS changed_at,
  t.first_exchange AS exchange_id, t.exchanges, t.versions, t.deployed, t.kept_prompt, v.system, v.tools, k.last_commit,
  k.author, k.committed, m.who AS promoted_by
FROM prompt_templates AS t LEFT JOIN prompt_versions AS v ON v.hash = t.first_prompt_hash AND v.agent = t.agent
LEFT JOIN kept_prompts AS k ON k.name || '@' || k.version = t.kept_prompt
LEFT JOIN (SELECT name, version, arg_max(who, moved_at) AS who FROM prompt_moves GROUP BY name, version) AS m
  ON m.name || '@' || m.version = t.kept_prompt
WHERE t.agent LIKE $agent ORDER BY t.agent, t.first_seen, t.template_hash
"""
_LATEST = """
SELECT t.template_hash, v.tools
FROM prompt_templates AS t LEFT JOIN prompt_versions AS v ON v.hash = t.last_prompt_hash AND v.agent = t.agent
WHERE t.agent = $agent ORDER BY t.last_seen DESC
"""
MOST = 10_000
_FACTS = ("changed_at", "agent", "deployed", "kept_prompt", "last_commit", "author", "promoted_by", "template_hash", "exchange_id")


def changes(data: Path, agent: str) -> list[dict[str, Any]]:
    """Newest first, each with the lines that differ. Templates that differ by what several users have at once count as one."""
    answer = ask(data, _TEMPLATES, MOST, {"agent": agent})
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    found = [change for _, mine in groupby(rows, key=itemgetter("agent")) for change in _of_one_agent(list(mine))]
    return sorted(found, key=itemgetter("changed_at"), reverse=True)


def _of_one_agent(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    systems = collapsed([Seen(row["system"] or "", row["first_us"], row["last_us"]) for row in rows])
    texts = [_lines(system, row) for system, row in zip(systems, rows, strict=True)]
    known = {tuple(texts[0])}
    for (before, old), (now, new) in pairwise(zip(rows, texts, strict=True)):
        if tuple(new) not in known:
            known.add(tuple(new))
            facts = {name: now[name] for name in _FACTS}
            yield {**facts, "standing": _standing(now), "template_before": before["template_hash"], "diff": _differing(old, new)}


def _standing(row: dict[str, Any]) -> str:
    """Whether somebody stands for it: `committed`, `promoted` (a label was moved to it), `kept` (in no repository: whoever can write the
    folder), or `undeployed`."""
    if not row["deployed"]:
        return "undeployed"
    if row["promoted_by"]:
        return "promoted"
    return "kept" if row["committed"] is None else "committed" if row["committed"] else "undeployed"


def _differing(before: list[str], now: list[str]) -> list[str]:
    return [line for line in difflib.unified_diff(before, now, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]


def _lines(system: str, row: dict[str, Any]) -> list[str]:
    """One line for each of the prompt, and for each tool. Where no text is on record the template is told by its hash."""
    legible = [*system.splitlines(), *(json.dumps(tool, sort_keys=True, ensure_ascii=False) for tool in _tools(row["tools"]))]
    return legible if row["system"] is not None else [f"[no text on record: {row['template_hash']}]"]


def _tools(tools: str | None) -> list[Any]:
    found = msgspec.json.decode(tools) if tools and tools.startswith("[") else []
    return found if isinstance(found, list) else []


def pinned(data: Path, agent: str, on_change: str) -> dict[str, Any]:
    """The agent's part of the file, as the agent came last. Raises GatewayError where the book does not know enough."""
    answer = ask(data, _LATEST, 1, {"agent": agent})
    if not answer.rows:
        raise GatewayError("not_found", "unknown_agent", f"the book has no prompt of an agent '{agent}'; see the view prompt_templates")
    template, tools = answer.rows[0]
    declared = [(pins.declared_name(tool), pins.tool_hash(canonical(msgspec.json.encode(tool)))) for tool in _tools(tools)]
    if any(not name for name, _ in declared) or any(set(tool) == {"name"} for tool in _tools(tools)):
        said = f"the book keeps only the names of the tools of '{agent}'; take their hashes from the findings of an empty 'tools: {{}}'"
        raise GatewayError("not_found", "no_tools", said)
    if len(dict(declared)) < len(set(declared)):
        said = f"two tools of '{agent}' declare themselves by one name (in two namespaces); take their hashes from the findings"
        raise GatewayError("not_found", "names_twice", said)
    return {"on_change": on_change, "templates": [template], "tools": dict(declared)}


def write(folder: Path, agent: str, part: dict[str, Any]) -> Path:
    """Puts the agent's part into the file; the rest of the file stays what it says."""
    from gateway.yaml_writing import written

    path = folder / pins.FILE
    agents = pins.read(path.read_bytes()).model_dump(exclude_none=True)["agents"] if path.is_file() else {}
    text = written({"agents": {**agents, agent: part}}, sort_keys=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def _who(change: dict[str, Any]) -> str:
    kept = f"kept prompt {change['kept_prompt']}"
    match change["standing"]:
        case "promoted":
            return f"{kept}, promoted by {change['promoted_by']}"
        case "committed" if change["author"]:
            return f"{kept}, committed by {change['author']} ({change['last_commit'][:12]})"
        case "committed" | "kept":
            return kept
    return f"{kept}, which NOBODY COMMITTED" if change["deployed"] else "NOBODY DEPLOYED THIS"


def told(change: dict[str, Any]) -> list[str]:
    """As people read it."""
    who = _who(change)
    head = f"{change['changed_at']}  {change['agent']}  {change['template_before'][:12]} -> {change['template_hash'][:12]}  {who}"
    return [head, *(f"  {line}" for line in change["diff"])]
