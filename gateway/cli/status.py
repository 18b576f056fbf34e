"""`tollhouse status`: how the running gateway is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from gateway.cli.beside import AsJson, Data, folder_beside
from gateway.standing import WORRIES, addresses, readiness


def status(
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show whether the gateway is ready, which policies are in force, and whether an edit could not be used. Exit code 1 when something is
    wrong, 4 when none runs.

    Example: tollhouse status --json
    """
    where = _running(data)
    report = {"worker": readiness(where["listen"]), "book": readiness(where["admin"])}
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _show(where, report)
    if not _well(report):
        raise typer.Exit(1)


def _running(data: Path | None) -> dict[str, Any]:
    folder = folder_beside(data)
    found = addresses(folder)
    if found is None:
        typer.echo(f"No gateway is running on {folder}. Start one with: tollhouse up", err=True)
        raise typer.Exit(4)
    return found


def _well(report: dict[str, Any]) -> bool:
    return bool(
        report["worker"].get("ready") and report["book"].get("ready") and not report["worker"].get("policy_stale")
    )


def _show_cache(counters: dict[str, int]) -> None:
    hits, misses = counters.get("cache_hit", 0), counters.get("cache_miss", 0)
    if looked := hits + misses:
        share = f"{hits / looked:.0%} of {looked} looked for since the book started"
        typer.echo(f"cache        {hits} answers given again: {share} (tollhouse sql --saved cache_savings)")


def _show(where: dict[str, Any], report: dict[str, Any]) -> None:
    worker, book = report["worker"], report["book"]
    typer.echo(f"data plane   {where['listen']}  {_readiness(worker)}")
    typer.echo(f"admin plane  {where['admin']}  {_readiness(book)}")
    policy = worker.get("policy") or {}
    if worker.get("observing"):
        typer.echo("policies     none: observing only")
    elif policy:
        typer.echo(f"policies     {policy['hash'][:12]}{' git ' + policy['git'] if policy.get('git') else ''}")
    if policy.get("stale"):
        typer.echo("POLICY STALE: the last edit could not be used; the version above stays in force:", err=True)
        for problem in policy["problems"]:
            typer.echo(f"  {problem}", err=True)
    for route in worker.get("routes") or ():
        _show_route(route)
    _show_cache(book.get("counters") or {})
    for name, words in WORRIES.items():
        if number := (book.get("counters") or {}).get(name):
            typer.echo(f"NOTE: {number} {words}", err=True)
    for warning in book.get("warnings") or ():
        typer.echo(f"NOTE: {warning}", err=True)
    if book.get("problem"):
        typer.echo(f"LEDGER: {book['problem']}", err=True)
    state = worker.get("state") or {}
    if state and not state.get("healthy"):
        typer.echo(f"STATE: {state.get('problem')}; requests are answered 503 until it can be asked again", err=True)
    journal = worker.get("journal") or {}
    if journal and not journal.get("healthy"):
        typer.echo(
            f"JOURNAL: {journal.get('problem')}; requests are answered 503 until it can be written again", err=True
        )


def _readiness(plane: dict[str, Any]) -> str:
    if plane.get("ready"):
        return "ready"
    why = plane.get("error") or ("it is stopping" if plane.get("draining") else "")
    return f"NOT READY: {why}" if why else "NOT READY"


def _show_route(route: dict[str, Any]) -> None:
    """As the worker that answered sees it."""
    typer.echo(f"route        {', '.join(route['models'])}")
    width = max(len(each["target"]) for each in route["targets"])
    for each in route["targets"]:
        pause = each["opens_in_s"] or each["rests_s"]
        state = each["state"] + (f" for {pause:g} s" if pause else "")
        speed = f", first byte {each['first_byte_ms']:g} ms" if each["first_byte_ms"] else ""
        fault = f", last {each['last_fault']} {each['last_fault_s_ago']:g} s ago" if each["last_fault"] else ""
        counts = f"asked {each['attempts']}, failed {each['failures']}"
        typer.echo(f"  {each['target']:<{width}}  priority {each['priority']}  weight {each['weight']}  {state}; {counts}{speed}{fault}")
