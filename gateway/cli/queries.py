"""`tollhouse queries`: the saved questions, shipped and one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer

from gateway.cli.asking import admin_client, data_folder, refusal
from gateway.cli.beside import AsJson, Data, settings_here
from gateway.cli.visible import visible
from gateway.errors import GatewayError, StartError
from gateway.web.queries import Query, read_all


class _Listed(msgspec.Struct):
    queries: list[Query]


def queries(
    name: Annotated[str, typer.Argument(help="show the SQL of this one")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the saved questions, with what each parameter is when nothing is given.

    Ask one with: tollhouse sql --saved NAME -p parameter=value. A folder of your own is named by 'queries' in tollhouse.yaml.

    Example: tollhouse queries cost_by_agent_and_day
    """
    known = saved(data)
    if name and name not in known:
        raise no_such(name, known)
    if as_json:
        sys.stdout.write(msgspec.json.encode([known[name]] if name else list(known.values())).decode() + "\n")
    elif name:
        typer.echo(visible(known[name].sql.rstrip()))
    else:
        for query in known.values():
            typer.echo(told(query))


def saved(data: Path | None) -> dict[str, Query]:
    """What the running gateway knows, else what is shipped and what the settings file names. Raises StartError for a folder that was named
    and is not there."""
    try:
        client = admin_client(data_folder(data))
    except StartError:
        if data is not None:
            raise
        client = None
    if client is not None:
        try:
            with client:
                answer = client.get("/queries?show")
            if answer.status_code != httpx.codes.OK:
                raise refusal(answer)
            return {query.name: query for query in msgspec.json.decode(answer.content, type=_Listed).queries}
        except httpx.ConnectError:  # run.json was left behind by a gateway that is gone
            return read_all(_own())
        except httpx.HTTPError as error:
            problem = f"the gateway's admin plane does not answer: {error}; see 'tollhouse status'"
            raise GatewayError("unavailable", "admin_plane", problem) from error
    return read_all(_own())


def no_such(name: str, known: dict[str, Query]) -> GatewayError:
    return GatewayError("not_found", "no_such_query", f"no saved query '{name}'; there are {', '.join(known)}")


def told(query: Query) -> str:
    params = " ".join(f"{name}={default}" for name, default in query.params.items())
    return visible(f"{query.name:<24} {query.title}" + (f"  ({params})" if params else "") + ("  [own]" if query.own else ""))


def _own() -> Path | None:
    own = settings_here().queries
    return Path(own) if own else None
