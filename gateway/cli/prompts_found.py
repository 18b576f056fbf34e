"""`tollhouse prompts changes` and `pin`: prompts that agents bring, from the book.

The texts are what the book keeps of them: without secrets where storing says so, and only names of tools where it keeps metadata.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.asking import ask
from gateway.errors import GatewayError
from gateway.prompt import pins
from gateway.prompt.fingerprint import canonical

_CHANGES = """
SELECT c.changed_at, c.agent, c.deployed, c.kept_prompt, c.template_before, c.template_hash, c.exchange_id, c.exchanges,
  before.system AS system_before, now.system AS system, before.tools AS tools_before, now.tools AS tools
FROM prompt_changes AS c
LEFT JOIN prompt_versions AS before ON before.hash = c.prompt_before AND before.agent = c.agent
LEFT JOIN prompt_versions AS now ON now.hash = c.prompt_hash AND now.agent = c.agent
WHERE c.agent LIKE $agent ORDER BY c.changed_at DESC
"""
_LATEST = """
SELECT t.template_hash, v.tools
FROM prompt_templates AS t LEFT JOIN prompt_versions AS v ON v.hash = t.last_prompt_hash AND v.agent = t.agent
WHERE t.agent = $agent ORDER BY t.last_seen DESC
"""
MOST = 200


def changes(data: Path, agent: str) -> list[dict[str, Any]]:
    """Newest first, each with the lines that differ."""
    answer = ask(data, _CHANGES, MOST, {"agent": agent})
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return [{**_facts(row), "diff": _differing(row)} for row in rows]


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("system", "system_before", "tools", "tools_before")}


def _differing(row: dict[str, Any]) -> list[str]:
    before, now = (_lines(row[f"system{when}"], row[f"tools{when}"]) for when in ("_before", ""))
    return [line for line in difflib.unified_diff(before, now, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]


def _lines(system: str | None, tools: str | None) -> list[str]:
    """One line for each of the prompt, and for each tool."""
    return [*(system or "").splitlines(), *(json.dumps(tool, sort_keys=True, ensure_ascii=False) for tool in _tools(tools))]


def _tools(tools: str | None) -> list[Any]:
    found = msgspec.json.decode(tools) if tools and tools.startswith("[") else []
    return found if isinstance(found, list) else []


def pinned(data: Path, agent: str, on_change: str) -> dict[str, Any]:
    """The agent's part of the file, as the agent came last. Raises GatewayError where the book does not know enough."""
    answer = ask(data, _LATEST, 1, {"agent": agent})
    if not answer.rows:
        raise GatewayError("not_found", "unknown_agent", f"the book has no prompt of an agent '{agent}'; see the view prompt_templates")
    template, tools = answer.rows[0]
    declared = [(_name(tool), pins.tool_hash(canonical(msgspec.json.encode(tool)))) for tool in _tools(tools)]
    if any(not name for name, _ in declared) or any(set(tool) == {"name"} for tool in _tools(tools)):
        said = f"the book keeps only the names of the tools of '{agent}'; take their hashes from the findings of an empty 'tools: {{}}'"
        raise GatewayError("not_found", "no_tools", said)
    return {"on_change": on_change, "templates": [template], "tools": dict(declared)}


def _name(tool: Any) -> str:
    """As `Request.tools` has it."""
    match tool:
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}} | {"name": str(name)} | {"type": str(name)}:
            return name
    return ""


def write(folder: Path, agent: str, part: dict[str, Any]) -> Path:
    """Puts the agent's part into the file; the rest of the file stays what it says."""
    import yaml

    path = folder / pins.FILE
    agents = pins.read(path.read_bytes()).model_dump(exclude_none=True)["agents"] if path.is_file() else {}
    text = yaml.safe_dump({"agents": {**agents, agent: part}}, sort_keys=True, default_flow_style=False, allow_unicode=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def told(change: dict[str, Any]) -> list[str]:
    """As people read it."""
    who = f"kept prompt {change['kept_prompt']}" if change["deployed"] else "NOBODY DEPLOYED THIS"
    head = f"{change['changed_at']}  {change['agent']}  {change['template_before'][:12]} -> {change['template_hash'][:12]}  {who}"
    return [head, *(f"  {line}" for line in change["diff"])]
