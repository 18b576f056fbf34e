"""`tollhouse keys`: virtual keys for agents."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway import clock
from gateway.cli.beside import settings_beside
from gateway.exchange import Storing
from gateway.installation import open_keys
from gateway.state import KeyRecord, Keys

app = typer.Typer(help="Make, list and revoke the keys agents use.", no_args_is_help=True)

Data = Annotated[
    str | None, typer.Option(help="Data folder. Default: TOLLHOUSE_DATA, the settings file's, or .tollhouse.")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class Store(StrEnum):
    """What the book keeps of content (`exchange.Storing`)."""

    full = "full"
    redacted = "redacted"
    metadata = "metadata"


_KEPT: dict[Store, Storing] = {Store.full: "full", Store.redacted: "redacted", Store.metadata: "metadata"}


@app.command()
def create(
    agent: Annotated[str, typer.Option(help="The agent this key proves; policies name it under 'agents'.")],
    team: Annotated[str | None, typer.Option(help="Team, for conditions and cost.")] = None,
    user: Annotated[str | None, typer.Option(help="Person or service on whose behalf the agent acts.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="name=value, seen by conditions as caller.labels. Repeatable.")
    ] = None,
    expires_days: Annotated[float | None, typer.Option(help="The key ends after this many days.", min=0)] = None,
    store: Annotated[
        Store | None, typer.Option(help="What is kept of what this key sends and gets; default: 'storing' of the settings (redacted).")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once; only a keyed hash of it is stored."""
    now = clock.now_us()
    expires = None if expires_days is None else now + int(timedelta(days=expires_days).total_seconds() * 1_000_000)
    labels = dict(_pair(text) for text in label or ())
    key = _store(data).create(
        agent=_named(agent),
        now_us=now,
        team=team,
        user=user,
        labels=labels,
        expires_us=expires,
        store=None if store is None else _KEPT[store],
    )
    if as_json:
        typer.echo(json.dumps({"key": key, "id": key.split("_")[1], "agent": agent}))
        return
    typer.echo(key)
    typer.echo("Keep it: it is not shown again. Use it as your SDK's API key, for example:", err=True)
    typer.echo(f"  export OPENAI_API_KEY={key[:12]}…  or  export ANTHROPIC_API_KEY={key[:12]}…", err=True)


@app.command("list")
def list_keys(data: Data = None, as_json: Json = False) -> None:
    """Show all keys, revoked ones included; never the secrets."""
    records = _store(data).every()
    now = clock.now_us()
    if as_json:
        typer.echo(json.dumps([_plain(record, now) for record in records]))
        return
    table = Table("id", "agent", "team", "user", "stores", "ends in", "created", "state")
    for record in records:
        plain = _plain(record, now)
        table.add_row(
            *(str(plain[name] or "") for name in ("id", "agent", "team", "user", "store", "last4", "created", "state"))
        )
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id (the part after th_), or the whole key.")],
    data: Data = None,
) -> None:
    """End a key. Effective in every worker within a second."""
    wanted = key_id.split("_")[1] if key_id.startswith("th_") and key_id.count("_") >= 1 else key_id
    if not _store(data).revoke(wanted, clock.now_us()):
        typer.echo(f"There is no key with the id '{wanted}'. 'tollhouse keys list' shows all.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Key {wanted} is revoked.")


def _store(data: str | None) -> Keys:
    return open_keys(settings_beside(data))


def _named(agent: str) -> str:
    if not agent or len(agent) > 128 or not all(c.isascii() and (c.isalnum() or c in "-_.:/@") for c in agent):
        raise typer.BadParameter("use 1 to 128 letters, digits and - _ . : / @", param_hint="--agent")
    return agent


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"'{text}' is not name=value", param_hint="--label")
    return name, value


def _plain(record: KeyRecord, now: int) -> dict[str, object]:
    state = "active" if record.active(now) else "revoked" if record.revoked_us is not None else "expired"
    return {
        "id": record.id,
        "agent": record.agent,
        "team": record.team,
        "user": record.user,
        "labels": dict(record.labels),
        "store": record.store,
        "last4": record.last4,
        "created": _date(record.created_us),
        "expires": _date(record.expires_us),
        "revoked": _date(record.revoked_us),
        "state": state,
    }


def _date(at_us: int | None) -> str | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
