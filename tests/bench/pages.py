"""How long the pages for people take over a large ledger: `python tests/bench/pages.py FOLDER [--team NAME] [--json]`.

FOLDER holds a ledger that `tests/bench/ledger.py --exchanges 100000 --times 10 --keep FOLDER` wrote. Each page is asked for as a browser
asks, by somebody who is signed in, through the whole face: session, right, questions, template. The clock stands at the ledger's last
exchange, so that "the last hours" hold something. With `--team`, by somebody who is bound to it: the pages that such people
have. Shown is server time, without the network: the first, and the median of those after it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from verdicts import Goal, Verdict, machine, summary, table

from gateway import clock
from gateway.config import Settings
from gateway.face import first_login, opening
from gateway.face.pages import PAGES
from gateway.installation import open_people
from gateway.question.office import Office
from gateway.question.wire import Question, Reply
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.stores.duckdb import Ledger
from gateway.stores.sight import Narrowed
from gateway.trace.record import Record
from gateway.web.admin import Status
from gateway.web.tail import Listeners

ASKED = 5
OTHERS = 500
BOUNDS = {"overview": 500, "traces": 200, "exchange": 150}
"""Milliseconds of server time; `OTHERS` for the others."""
_LAST = {"exchange": "id", "agent": "agent", "session": "session"}
_PLAIN = (
    "overview", "traces", "sessions", "agents", "violations", "cost", "approvals", "policies", "prompts", "experiments", "people",
)  # fmt: skip
PASSWORD = "a boat upon the river"


class Book:
    """What the face asks of the book, over a ledger that nothing is written to."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.office = ledger, Office()
        self.fetch, self.views = ledger.fetch, ledger.views
        self._listeners = Listeners()

    def status(self) -> Status:
        return Status(ready=True, lag_bytes=0, records=0, ledger="")

    def subscribe(self) -> Any:
        return self._listeners.add()

    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        return self.office.ask(self.ledger if teams is None else Narrowed(self.ledger, teams), question)

    async def write(self, record: Record) -> None:
        """That content was read would be on record."""


def addresses(ledger: Ledger, teams: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """(page, path), with names of the ledger where a page is of one thing."""
    closed = {page.path for page in PAGES if teams is not None and not page.narrows}
    columns = ", ".join(f"max_by({column}, started_at) AS {name}" for name, column in _LAST.items())
    [row] = ledger.fetch(f"SELECT {columns} FROM exchanges", {}, teams)
    one = {name: quote(str(value), safe="") for name, value in row.items()}
    for name in _PLAIN:
        if f"/{name}" not in closed:
            yield name, f"/ui/{name}"
    yield "traces, 31 days", "/ui/traces?q=since:31d"
    yield "traces, denied", "/ui/traces?q=decision:deny"
    yield "exchange", f"/ui/exchange/{one['exchange']}"
    yield "one session", f"/ui/sessions/{one['session']}"
    yield "one agent", f"/ui/agents/{one['agent']}"
    yield "sql", "/ui/sql?saved=cost_by_agent_and_day"


async def timed(app: Starlette, folder: Path, settings: Settings, team: str, paths: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8485", timeout=120) as client:
        token = first_login.read(folder) or ""
        page = (await client.get(f"/ui/begin?token={token}")).text
        [csrf] = re.findall(r'name="csrf" value="([0-9a-f]+)"', page)[:1]
        fields = {"token": token, "name": "ada", "password": PASSWORD, "again": PASSWORD, "csrf": csrf}
        (await client.post("/ui/begin", data=fields, headers={"sec-fetch-site": "same-origin"}, follow_redirects=True)).raise_for_status()
        if team:
            open_people(settings).change("ada", ("admin",), (team,), clock.now_us())
        return {name: await _seen(client, path) for name, path in paths}


async def _seen(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    took, cpu = [], []
    for _ in range(1 + ASKED):
        began, spent = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
        answer.raise_for_status()
    return {
        "first_ms": round(took[0], 1),
        "ms": round(statistics.median(took[1:]), 1),
        "cpu_ms": round(statistics.median(cpu[1:]), 1),
        "bytes": len(answer.content),
    }


def figures(ledger_folder: Path, team: str) -> dict[str, Any]:
    ledger = Ledger(ledger_folder / "ledger.duckdb")
    [row] = ledger.fetch("SELECT count(*) AS exchanges, epoch_us(max(started_at)) AS last FROM exchanges", {})
    clock.now_us = lambda: int(row["last"]) + 60_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        approvals, book = SqliteApprovals(folder / "state.sqlite"), Book(ledger)
        settings = Settings.model_validate({"data": str(folder)})
        app = Starlette(routes=opening.open_face(settings, book, approvals, lambda text, about: text))
        try:
            pages = asyncio.run(timed(app, folder, settings, team, list(addresses(ledger, frozenset({team}) if team else None))))
        finally:
            book.office.close()
            approvals.close()
            ledger.close()
    return {"machine": machine(), "exchanges": row["exchanges"], "pages": pages}


def verdicts(found: Mapping[str, Any]) -> Iterator[Verdict]:
    for name, seen in found["pages"].items():
        beside = f"{seen['cpu_ms']:g} ms of CPU, first {seen['first_ms']:g} ms, {seen['bytes'] / 1000:.0f} kB"
        yield Verdict(Goal(f"  {name}", BOUNDS.get(name.partition(",")[0], OTHERS), "ms"), seen["ms"], beside)


def main() -> int:
    asked = argparse.ArgumentParser(description="Measure the pages for people over a ledger that lies in a folder.")
    asked.add_argument("ledger", type=Path, help="a folder that tests/bench/ledger.py --keep wrote")
    asked.add_argument("--team", default="", help="look as somebody who is bound to it")
    asked.add_argument("--json", action="store_true", help="print JSON")
    wanted = asked.parse_args()
    if not (wanted.ledger / "ledger.duckdb").exists():
        how = f"python tests/bench/ledger.py --exchanges 100000 --times 10 --keep {wanted.ledger}"
        print(f"there is no ledger in {wanted.ledger}; make one: {how}", file=sys.stderr)
        return 2
    found = figures(wanted.ledger, wanted.team)
    seen = list(verdicts(found))
    if wanted.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['exchanges']:,} exchanges; {found['machine']}\n{table(seen)}\n\n{summary(seen)}")
    return int(any(not each.holds for each in seen))


if __name__ == "__main__":
    sys.exit(main())
