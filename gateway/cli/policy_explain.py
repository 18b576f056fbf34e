"""`tollhouse policy explain`: a decision from the book, with the rules as they stood then and the values they read.

Asks the running gateway, else the ledger file. The policy text is the one that the book keeps under the version's hash, so a
policy changed since does not change the explanation. What the book does not hold (who said a value, counts of the session) is
said to be unknown, not worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from gateway.cli.beside import Data
from gateway.cli.policy_verdict import verdict_data, verdict_lines
from gateway.cli.visible import visible
from gateway.errors import FileProblems, GatewayError
from gateway.policy import EMPTY, PolicySet, load
from gateway.policy.why import Reason, reasons
from gateway.policy_folder import point_to_installed_zones
from gateway.verdict import RuleHit, Verdict

_DECISION: Final = """
SELECT c.id, c.exchange_id, c.decided_at, c.agent, c.session, c.call_id, c."index", c.type, c.name, c.arguments, c.effect, c.released,
       c.code, c.reason, c.policy, c.rule, c.would, c.policy_hash, x.org, x.team, x."user", x.key_id, x.client, x.session_source,
       x.request_model, x.dialect
FROM calls AS c LEFT JOIN exchanges AS x ON x.id = c.exchange_id WHERE c.id = $id LIMIT 1
"""
_HITS: Final = "SELECT policy, rule, effect, mode, error, message, line FROM rule_hits WHERE decision_id = $id"
_FILES: Final = """
WITH listed AS (SELECT unnest(files) AS file FROM policy_versions WHERE hash = $hash),
     kept AS (SELECT file.path AS path, file.text AS text FROM listed),
     parts AS (SELECT path, text, unnest(range(length(text) // 50000 + 1)) AS part FROM kept)
SELECT path, substr(text, part * 50000 + 1, 50000) AS piece FROM parts ORDER BY path, part
"""
"""In pieces, because one cell of an answer is bounded."""
_ROWS: Final = 10_000

Ask = Callable[[str, Mapping[str, str]], list[dict[str, Any]]]
"""SQL and its parameters to rows by column."""


def explain_decision(
    decision: Annotated[str, typer.Argument(help="The id that a withheld call is answered with, or of a row of `calls`: dec_…")],
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say why a recorded call was released or withheld: the rules as they stood, and the values they read.

    Example: tollhouse policy explain dec_…
    """
    from gateway.face.decisions import seen

    asked = _asking(data)
    row = _decision(asked, decision)
    verdict = _verdict(row, asked(_HITS, {"id": decision}))
    policies, note = _policies(asked, row["policy_hash"])
    explained = reasons(policies, verdict.hits, row["name"], seen(row, row))
    if json:
        typer.echo(msgspec.json.encode({**row, **verdict_data(verdict, explained), "note": note}).decode())
    else:
        typer.echo("\n".join(_lines(row, verdict, explained, note)))


def _asking(data: Path | None) -> Ask:
    from gateway.cli.asking import ask, data_folder

    folder = data_folder(data)

    def asked(sql: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = ask(folder, sql, _ROWS, params)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    return asked


def _decision(asked: Ask, decision: str) -> dict[str, Any]:
    rows = asked(_DECISION, {"id": decision})
    if not rows:
        said = f"no decision '{decision}' in the book; 'tollhouse sql --saved latest_decisions' shows the latest"
        raise GatewayError("not_found", "no_such_decision", said)
    return rows[0]


def _verdict(row: Mapping[str, Any], hits: list[dict[str, Any]]) -> Verdict:
    spoke = tuple(RuleHit(**{name: value for name, value in hit.items() if value is not None}) for hit in hits)
    named = {"policy": row["policy"] or "", "rule": row["rule"] or "", "would": row["would"] or None}
    return msgspec.convert({**row, **named, "reason": row["reason"] or "", "hits": spoke}, Verdict)


def _policies(asked: Ask, version: str | None) -> tuple[PolicySet, str]:
    """The version that decided, and what is wrong when it cannot be shown."""
    files: dict[str, str] = {}
    for piece in asked(_FILES, {"hash": version or ""}):
        files[piece["path"]] = files.get(piece["path"], "") + piece["piece"]
    if not files:
        return EMPTY, "the book holds no policy text of this version; rules are shown without their conditions"
    point_to_installed_zones()
    try:
        policies = load({path: text.encode() for path, text in files.items()})
    except FileProblems:
        return EMPTY, "this version of tollhouse cannot read that policy any more; rules are shown without their conditions"
    if policies.hash != version:
        return EMPTY, "the policy text in the book is not whole; rules are shown without their conditions"
    return policies, ""


def _lines(row: Mapping[str, Any], verdict: Verdict, explained: list[Reason], note: str) -> Iterator[str]:
    yield f"{row['id']}: {visible(row['name'])} by agent {visible(row['agent'])}, {row['decided_at']}"
    yield f"arguments: {visible(row['arguments'] or '')}"
    yield f"policy version: {row['policy_hash'] or 'none'}\n"
    yield from verdict_lines(verdict, explained)
    if note:
        yield f"\nnote: {note}"
    yield f"\nThe conversation: tollhouse sql --saved exchange -p id={row['exchange_id']}"
