"""`tollhouse reprice`: what exchanges cost under the prices of now."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.since import moment
from gateway.cli.visible import visible


def reprice(
    since: Annotated[str, typer.Option(help="From which day or moment on, in UTC: 2026-11-01, 2026-11-01T12:00:00, or 24h, 7d.")],
    model: Annotated[str, typer.Option(help="Only models like this (* and ?).")] = "*",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    by: Annotated[str | None, typer.Option(help="Who does it. Default: your user name on this machine.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Price exchanges again with the price table that is installed and your overrides. What was recorded stays in the journal and in the
    view cost_revisions; exchanges, cost_daily and the saved questions show the new cost.

    Example: tollhouse reprice --since 2026-11-01 --model 'gpt-*' --dry-run
    """
    body = {"since": moment(since), "model": model, "dry_run": dry_run, "by": acting(by)}
    done = call(data_folder(data), "POST", "/reprice", json=body)
    if as_json:
        typer.echo(json.dumps(done))
        return
    would = "would be revised" if dry_run else "revised"
    typer.echo(f"{done['looked_at']} exchanges looked at, {done['revised']} {would}: ${done['before']} before, ${done['after']} now.")
    typer.echo(f"Prices: {visible(done['price_version'])}. Revision {done['revision']}.")
    if done["unpriced"]:
        typer.echo(f"{done['unpriced']} of them have no known cost now: tollhouse sql --saved unpriced_models", err=True)
    if done["in_rounds"]:
        typer.echo(f"{done['in_rounds']} took several rounds and keep the cost of each round as it was recorded.", err=True)
