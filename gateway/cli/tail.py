"""`tollhouse tail`: exchanges and decisions as they are recorded, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import msgspec
import typer

from gateway.cli.asking import admin_client, data_folder, refusal
from gateway.cli.beside import Data
from gateway.cli.since import moment
from gateway.cli.sql import visible_json
from gateway.cli.visible import visible
from gateway.errors import GatewayError, StartError

_PATIENCE = httpx.Timeout(10.0, read=60.0)
_COLOURS = {"deny": typer.colors.RED, "ask": typer.colors.YELLOW, "warn": typer.colors.YELLOW, "allow": typer.colors.GREEN}


def tail(
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object per line, as recorded")] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="stay and show what comes; else only what there is")] = True,
    since: Annotated[str | None, typer.Option("--since", help="begin with what was recorded since: 15m, 2h, 7d, or a UTC time")] = None,
) -> None:
    """Follow exchanges and decisions as they happen.

    Example: tollhouse tail --since 10m
    """
    folder = data_folder(data)
    start = moment(since) if since else (None if follow else moment("24h"))
    client = admin_client(folder)
    if client is None:
        raise StartError(f"no gateway runs on {folder}: 'tollhouse up' starts it; 'tollhouse sql --saved latest_decisions' looks back")
    with client:
        try:
            for line in _lines(client, start, follow=follow):
                typer.echo(visible_json(line) if json else _told(msgspec.json.decode(line)))
        except httpx.HTTPError as error:
            raise GatewayError("unavailable", "admin_plane", f"the gateway went away ({error}); see 'tollhouse status'") from error


def _lines(client: httpx.Client, since: str | None, *, follow: bool) -> Iterator[str]:
    params = {"follow": "1" if follow else "0", **({"since": since} if since else {})}
    with client.stream("GET", "/tail", params=params, timeout=_PATIENCE) as response:
        if response.status_code != httpx.codes.OK:
            response.read()
            raise refusal(response)
        for line in response.iter_lines():
            if line:
                yield line


def _told(row: dict[str, Any]) -> str:
    match row.get("record"):
        case "call":
            effect = str(row.get("effect"))
            verdict = typer.style(f"{visible(effect):<6}", fg=_COLOURS.get(effect))
            what = f"{row.get('name', '')}({row.get('arguments', '')})"
            why = f"  {row['reason']}" if row.get("reason") else ""
            return f"{_clock(row)} {verdict} {_said(row, 'agent')}  {visible(_short(what))}{visible(why)}"
        case "exchange":
            cost = f" ${row['cost']}" if row.get("cost") else ""
            model = row.get("response_model") or row.get("request_model") or ""
            took = int(row.get("duration_us") or 0) // 1000
            return f"{_clock(row)} {_said(row, 'state'):<6} {_said(row, 'agent')}  {visible(str(model))} {took} ms{visible(cost)}"
        case "interrupted":
            return f"{'':<12} interrupted {_said(row, 'id')}"
        case "gap":
            return f"{'':<12} {_said(row, 'lines')} lines left out: this terminal was too slow"
    return visible(str(row))


def _clock(row: dict[str, Any]) -> str:
    return visible(str(row.get("at", ""))[11:23])


def _said(row: dict[str, Any], name: str) -> str:
    return visible(str(row.get(name, "")))


def _short(text: str, length: int = 100) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
