"""`tollhouse keys`: virtual keys for agents."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import clock
from gateway.cli.beside import AsJson, Data, settings_beside, settings_there, user_name
from gateway.cli.since import span
from gateway.cli.visible import visible
from gateway.config import Settings
from gateway.documents import nearest
from gateway.errors import GatewayError
from gateway.exchange import Storing
from gateway.installation import open_keys, open_people, with_our_state
from gateway.issuing import KeyWish, WrongField, create_key, find_key, moment_of, revoke_key, shown_key
from gateway.issuing import teams as every_team
from gateway.people import bound
from gateway.settings_sources import DEFAULT_FILE
from gateway.state.keys import Keys

app = typer.Typer(help="Make, list, rotate and revoke the keys agents use.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id (the part after th_), or the whole key.")]
By = Annotated[str | None, typer.Option(help="Who does it; written down. Default: your user name on this machine.")]
Why = Annotated[str, typer.Option(help="Why; written down.")]


class Store(StrEnum):
    """What the book keeps of content (`exchange.Storing`)."""

    full = "full"
    redacted = "redacted"
    metadata = "metadata"


_KEPT: dict[Store, Storing] = {Store.full: "full", Store.redacted: "redacted", Store.metadata: "metadata"}


@app.command()
def create(
    agent: Annotated[str, typer.Option(help="The agent this key proves; policies name it under 'agents'.")],
    team: Annotated[str | None, typer.Option(help="Team, for conditions, cost, and whose exchanges they are.")] = None,
    user: Annotated[str | None, typer.Option(help="Person or service on whose behalf the agent acts.")] = None,
    org: Annotated[str | None, typer.Option(help="Organisation that the team belongs to.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="name=value, seen by conditions as caller.labels. Repeatable.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these models; * and ? are wild. Repeatable.")] = None,
    dialect: Annotated[list[str] | None, typer.Option(help="Only this wire format, for example openai.chat. Repeatable.")] = None,
    upstream: Annotated[list[str] | None, typer.Option(help="Only what is routed to this upstream. Repeatable.")] = None,
    expires_days: Annotated[float | None, typer.Option(help="The key ends after this many days.", min=0)] = None,
    store: Annotated[
        Store | None, typer.Option(help="What is kept of what this key sends and gets; default: 'storing' of the settings (redacted).")
    ] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; only a keyed hash of it is stored.

    Example: tollhouse keys create --agent bank-bot --team payments --expires-days 90
    """
    labels = _labels(label or ())
    kept = None if store is None else _KEPT[store]
    wish = KeyWish(agent, team, user, org, labels, model, dialect, upstream, expires_days, kept)
    with wrong_options():
        settings = with_our_state(settings_beside(data))
        key = create_key(open_keys(settings), wish, clock.now_us(), by or user_name())
    _say_unknown(upstream or (), settings, data)
    _show_once(key, as_json=as_json, agent=agent)


@app.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """Show all keys, revoked ones included; never the secrets.

    Example: tollhouse keys list --json
    """
    records = _store(data).every()
    now = clock.now_us()
    if as_json:
        typer.echo(json.dumps([shown_key(record, now) for record in records]))
        return
    if not records:
        typer.echo("There is no key yet; 'tollhouse keys create --agent NAME' makes one.")
        return
    columns = ("id", "agent", "team", "user", "stores", "ends in", "created", "state")
    table = Table(*columns)
    for record in records:
        team = bound.shown(record.org, record.team)
        plain = shown_key(record, now) | {"team": team, "stores": record.store, "ends in": record.last4}
        table.add_row(*(Text(visible(str(plain[name] or "")), overflow="fold") for name in columns))
    Console().print(table)


@app.command()
def show(key_id: KeyId, data: Data = None, as_json: AsJson = False) -> None:
    """Show what one key proves and what it is for; never the secret.

    Example: tollhouse keys show 3f2a…
    """
    with refused():
        plain = find_key(_store(data), _id_of(key_id), clock.now_us())
    if as_json:
        typer.echo(json.dumps(plain))
        return
    for name, value in plain.items():
        typer.echo(f"{name.replace('_', ' '):12} {visible(_told(value))}")


@app.command()
def rotate(
    key_id: KeyId,
    keep_old: Annotated[str, typer.Option(help="How long the old key stays good: 30m, 24h, 7d; 0 = not at all.")] = "24h",
    why: Why = "",
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key in the place of another, for the same agent, scope and length of life. Both are good until the old one ends.

    Example: tollhouse keys rotate 3f2a… --keep-old 24h
    """
    now = clock.now_us()
    until = now + _length(keep_old)
    wanted = _id_of(key_id)
    with refused():
        key = _store(data).rotate(wanted, now, until, by=by or user_name(), why=why)
    _show_once(key, as_json=as_json, replaces=wanted, old_until=moment_of(until))


@app.command()
def revoke(key_id: KeyId, why: Why = "", by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """End a key. Effective in every worker within a second; answers under way end by themselves.

    Example: tollhouse keys revoke 3f2a… --why leaked
    """
    wanted = _id_of(key_id)
    with refused():
        revoke_key(_store(data), wanted, clock.now_us(), by or user_name(), why)
    typer.echo(json.dumps({"id": wanted, "state": "revoked"}) if as_json else f"Key {wanted} is revoked.")


@app.command()
def teams(data: Data = None, as_json: AsJson = False) -> None:
    """Show every team that a live key or somebody of the admin plane names, as people are bound to it, and who sees it.

    Example: tollhouse keys teams --json
    """
    settings = with_our_state(settings_there(data))
    found = every_team(open_keys(settings), open_people(settings), clock.now_us())
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("team", "agents", "keys", "people")
    for each in found:
        told = (each["team"], ", ".join(each["agents"]), str(each["keys"]), ", ".join(each["people"]))
        table.add_row(*(Text(visible(text), overflow="fold") for text in told))
    Console().print(table)


def _show_once(key: str, *, as_json: bool, **more: str | None) -> None:
    if as_json:
        typer.echo(json.dumps({"key": key, "id": key.split("_")[1], **more}))
        return
    typer.echo(key)
    typer.echo("Keep it: it is not shown again. Use it as your SDK's API key, for example:", err=True)
    typer.echo(f"  export OPENAI_API_KEY={key[:12]}…  or  export ANTHROPIC_API_KEY={key[:12]}…", err=True)


def _store(data: Path | None) -> Keys:
    return open_keys(with_our_state(settings_there(data)))


def _id_of(text: str) -> str:
    return text.split("_")[1] if text.startswith("th_") and text.count("_") >= 1 else text


_HINTS = {"person": "NAME", "expires_days": "--expires-days"}


@contextlib.contextmanager
def wrong_options() -> Iterator[None]:
    """What cannot be had is the mistake of an option."""
    try:
        yield
    except WrongField as error:
        raise typer.BadParameter(error.message, param_hint=_HINTS.get(error.name, f"--{error.name.removesuffix('s')}")) from error


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """What is not there is said in one line."""
    try:
        yield
    except GatewayError as error:
        if error.kind != "not_found":
            raise
        typer.echo(visible(error.message), err=True)
        raise typer.Exit(1) from error


def _length(text: str) -> int:
    """In µs."""
    if text == "0":
        return 0
    try:
        return int(span(text).total_seconds() * 1_000_000)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; or 0", param_hint="--keep-old") from error


def _say_unknown(upstreams: Sequence[str], settings: Settings, data: Path | None) -> None:
    """Where the settings file lies here; an upstream may be written into it later."""
    if data is None and Path(DEFAULT_FILE).is_file():
        for name in upstreams:
            if name not in settings.upstreams:
                there = nearest(name, settings.upstreams) or f"; there are {', '.join(settings.upstreams) or 'none'}"
                typer.echo(visible(f"warning: there is no upstream '{name}' in the settings{there}"), err=True)


def _labels(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in map(_pair, given):
        if found.setdefault(name, value) != value:
            raise typer.BadParameter(f"'{name}' is given twice, with two values", param_hint="--label")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"'{text}' is not name=value", param_hint="--label")
    return name, value


def _told(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
