"""`tollhouse show`: one exchange whole, with what was said. Reading is put on record."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.sql import visible_json
from gateway.cli.visible import visible

_BRIEF = ("agent", "user", "session", "request_model", "state", "status", "cost", "storing", "error_message")


def show(
    exchange: Annotated[str, typer.Argument(help="The exchange's id: the x-gateway-trace-id of its answer, 'id' in the view exchanges.")],
    why: Annotated[str, typer.Option(help="Why you read it; written down.")] = "",
    by: Annotated[str | None, typer.Option(help="Who reads. Default: your user name on this machine.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show one exchange with its messages, calls and verdicts. That you read it is a record (view content_reads).

    Example: tollhouse show 0198… --why "a complaint"
    """
    asked = {"by": acting(by), "why": why}
    found = call(data_folder(data), "GET", f"/exchanges/{exchange_id(exchange)}", params=asked)
    if as_json:
        typer.echo(visible_json(json.dumps(found)))
        return
    for line in lines(found):
        typer.echo(visible(line))


def lines(found: dict[str, Any]) -> list[str]:
    """As people read it: from top to bottom in the order in which it happened."""
    row = found["exchange"]
    told = [f"exchange {row['id']}  {row['started_at']}", *(f"  {name:14} {row[name]}" for name in _BRIEF if row[name] is not None)]
    if found["rendered"]:
        told.append(f"prompt {found['rendered']['name']}@{found['rendered']['version'][:12]} {found['rendered']['variables']}")
    for each in found["messages"]:
        told += [f"{each['role']}:", *_indented(each["body"])]
    if found["answer"]:
        told += ["answer:", *_indented(found["answer"]["body"])]
    for each in found["calls"]:
        rule = f" by {each['policy']}/{each['rule']}" if each["rule"] else ""
        told += [f"call {each['name']}: {each['effect']}{rule} ({each['code']})", *_indented(each["arguments"]), *_indented(each["reason"])]
    for each in found["feedback"]:
        said = " ".join(str(each[name]) for name in ("score", "label", "comment") if each[name] is not None)
        told.append(f"feedback of {each['who']} on {each['name']}: {said}")
    return told


def _indented(text: str | None) -> list[str]:
    return [f"  {line}" for line in (text or "").splitlines()]


def exchange_id(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").isalnum():
        told = f"'{visible(text)}' is no exchange's id; 'tollhouse tail' and the view exchanges show them"
        raise typer.BadParameter(told, param_hint="EXCHANGE")
    return text
