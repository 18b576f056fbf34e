"""News of prompts and tools that nobody deployed: what workers found (`undeployed`, `prompting.compare`), told once for agent and change.

An agent that goes on with a tool that is not the approved one has a finding each time; it is one piece of news as long as no hour passes
without it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from gateway.news import Kind, Row

_QUERY: Final = """
SELECT f.validator, f.code, f.path, f.detail, f.action, e.agent, e.team, arg_min(e."user", f.started_at) AS "user",
  arg_min(f.exchange_id, f.started_at) AS exchange_id, epoch_us(min(f.started_at)) AS at_us, count(*) AS exchanges
FROM findings AS f JOIN exchanges AS e ON e.id = f.exchange_id
WHERE f.validator IN ('pins', 'prompts') AND f.severity <> 'info' AND f.started_at > make_timestamp($since)
  AND e.started_at > make_timestamp($since)
GROUP BY ALL ORDER BY at_us LIMIT 1000
"""
_SAID: Final = {
    "not_committed": "A kept prompt is served that nobody committed",
    "prompt_changed": "An agent's prompt is not the approved one",
    "template_changed": "An agent's prompt changed and nobody deployed it",
    "tool_added": "An agent came with a tool that is not approved",
    "tool_changed": "A tool is not as it was approved",
}


def _delivery(news: Row) -> str:
    what = json.dumps([news[name] for name in ("agent", "team", "validator", "code", "path", "detail", "action")])
    return f"prompt:{hashlib.sha256(what.encode()).hexdigest()[:32]}"


def _headline(news: Row) -> str:
    return _SAID[news["code"]] + (", and was refused" if news["action"] == "refused" else "")


def _text(news: Row) -> str:
    return f"{_headline(news)} (agent {news['agent']}, {news['path']}): {news['detail']}"


PROMPTS: Final = Kind(
    event="prompt",
    query=_QUERY,
    delivery=_delivery,
    subject=_headline,
    text=_text,
    told=lambda news: {"event": "prompt.changed", "change": dict(news)},
)
