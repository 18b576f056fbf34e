"""`tollhouse status`: how the running gateway is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from gateway.config import DEFAULT_FILE, read

TIMEOUT_S = 5.0
WORRIES = {
    "no_policy_for_agent": "calls were denied because no policy names their agent",
    "policy_error": "calls were denied because a policy could not be evaluated",
    "unpriced": "answers have no known cost (tollhouse sql --saved unpriced_models)",
}
"""Counters of the book that people should know of, and how they are told."""


def status(
    data: Annotated[
        str | None, typer.Option(help="Data folder. Default: TOLLHOUSE_DATA, the settings file's, or .tollhouse.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show whether the gateway is ready, which policies are in force, and whether an edit could not be used. Exit code 1 when something is
    wrong."""
    where = _running(data)
    report = {"worker": _readiness(where["listen"]), "book": _readiness(where["admin"])}
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _show(where, report)
    if not _well(report):
        raise typer.Exit(1)


def _running(data: str | None) -> dict[str, Any]:
    file = Path(DEFAULT_FILE)
    folder = read(file if data is None and file.is_file() else None, os.environ, {"data": data}).data_path
    try:
        found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError) as e:
        typer.echo(f"No gateway is running on {folder}. Start one with: tollhouse up", err=True)
        raise typer.Exit(4) from e
    return found


def _readiness(url: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=TIMEOUT_S, trust_env=False)
        body: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as e:
        return {"ready": False, "error": f"no answer from {url}: {type(e).__name__}"}
    return body


def _well(report: dict[str, Any]) -> bool:
    return bool(
        report["worker"].get("ready") and report["book"].get("ready") and not report["worker"].get("policy_stale")
    )


def _show(where: dict[str, Any], report: dict[str, Any]) -> None:
    worker, book = report["worker"], report["book"]
    typer.echo(
        f"data plane   {where['listen']}  {'ready' if worker.get('ready') else 'NOT READY ' + str(worker.get('error', ''))}"
    )
    typer.echo(
        f"admin plane  {where['admin']}  {'ready' if book.get('ready') else 'NOT READY ' + str(book.get('error', ''))}"
    )
    policy = worker.get("policy") or {}
    if worker.get("observing"):
        typer.echo("policies     none: observing only")
    elif policy:
        typer.echo(f"policies     {policy['hash'][:12]}{' git ' + policy['git'] if policy.get('git') else ''}")
    if policy.get("stale"):
        typer.echo("POLICY STALE: the last edit could not be used; the version above stays in force:", err=True)
        for problem in policy["problems"]:
            typer.echo(f"  {problem}", err=True)
    for name, words in WORRIES.items():
        if number := (book.get("counters") or {}).get(name):
            typer.echo(f"NOTE: {number} {words}", err=True)
    for warning in book.get("warnings") or ():
        typer.echo(f"NOTE: {warning}", err=True)
    state = worker.get("state") or {}
    if state and not state.get("healthy"):
        typer.echo(f"STATE: {state.get('problem')}; requests are answered 503 until it can be asked again", err=True)
    journal = worker.get("journal") or {}
    if journal and not journal.get("healthy"):
        typer.echo(
            f"JOURNAL: {journal.get('problem')}; requests are answered 503 until it can be written again", err=True
        )
