"""The admin plane with its face over a real ledger and real state, and a browser that asks it over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import Settings
from gateway.errors import JournalUnavailable
from gateway.face import first_login, opening
from gateway.moving_labels import Labels
from gateway.question.office import Office
from gateway.question.wire import Question, Reply
from gateway.rollout.ruling import Rulings
from gateway.state.approvals import Approval, Bindings
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_prompts import SqlitePrompts
from gateway.stores import Applied, Batch
from gateway.stores.duckdb import Ledger
from gateway.stores.sight import Narrowed
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow, MessageRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Ended, Record
from gateway.trace.segments import Segment
from gateway.verdict import RuleHit
from gateway.web import admin
from gateway.web.admin import Status
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import Doors, admin_token
from gateway.web.tail import Listeners

NOW_US = 1_790_000_000_000_000
PASSWORD = "a boat upon the river"
SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)


def identity(n: int, at_us: int) -> str:
    """A UUIDv7, whose order is that of time."""
    text = f"{at_us // 1000:012x}7{n >> 64 & 0xFFF:03x}8{n & 0xFFF_FFFF_FFFF_FFFF:015x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Book:
    """What the face asks of the book, over a ledger that records are applied to as they come."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = Status(ready=True, lag_bytes=0, records=0, ledger="v")
        self.written: list[Record] = []
        self.full = False
        self.listeners = Listeners()
        self.office: Office | None = None
        self._at = 0

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> Sequence[Mapping[str, Any]]:
        return self.ledger.fetch(sql, params, teams)

    def status(self) -> Status:
        return self.now

    def subscribe(self) -> Any:
        return self.listeners.add()

    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        """By a reader's process, as in the book."""
        self.office = self.office or Office()
        return self.office.ask(self.ledger if teams is None else Narrowed(self.ledger, teams), question)

    def views(self) -> Mapping[str, Mapping[str, str]]:
        return self.ledger.views()

    async def write(self, record: Record) -> None:
        if self.full:
            raise JournalUnavailable("no space left on device")
        self.written.append(record)
        self.apply(record)

    def apply(self, *records: Record) -> Applied:
        placed = [(self._at + n, record) for n, record in enumerate(records)]
        self._at += len(records)
        applied = self.ledger.apply([Batch(SEGMENT, placed, self._at, bytes(32))])
        self.listeners.tell(applied)
        return applied


class House:
    """The admin plane with its face, and those who look at it."""

    def __init__(
        self, folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any] | None = None, **face: Any
    ) -> None:
        self.folder, self.clock = folder, [NOW_US]
        self._loop = asyncio.Runner()
        """One for all, as in the process of the book."""
        monkeypatch.setattr("gateway.clock.now_us", lambda: self.clock[0])
        self.settings = Settings.model_validate({"data": str(folder), "face": face, **(more or {})})
        self.book = Book(ledger)
        self.approvals = SqliteApprovals(folder / "state.sqlite")
        shared, new = SqlitePrompts(folder / "moves.sqlite"), iter(range(10**9))
        ids = lambda: f"id{next(new)}"  # noqa: E731
        labels = Labels(folder / "prompts", folder, shared, self.book.write, lambda: self.clock[0], ids)
        rulings = Rulings(shared, labels, self.book.write, lambda: self.clock[0], ids)
        self.routes = opening.open_face(self.settings, self.book, self.approvals, lambda text, about: text, labels, rulings)
        people = ApprovalsDesk(self.approvals, self.settings.approvals, lambda: self.clock[0])
        names = ["127.0.0.1", "localhost", *opening.hosts(self.settings)]
        self.app = admin.create(self.book, Doors([admin_token("tha_" + "x" * 40)]), names, people, (), None, self.routes)  # type: ignore[arg-type]

    @property
    def invitation(self) -> str:
        return first_login.read(self.folder) or ""

    def exchange(self, n: int, **told: Any) -> str:
        """An exchange that ended, with its calls; its id."""
        return self.exchanges(self.ended(n, **told))[0]

    def exchanges(self, *ended: Ended) -> list[str]:
        """Many that are taken at once, which takes little longer than one."""
        self.book.apply(*ended)
        return [each.exchange.id for each in ended]

    def ended(self, n: int, *, ago_s: float = 600, calls: Sequence[Mapping[str, Any]] = (), **more: Any) -> Ended:
        at = self.clock[0] - int(ago_s * 1e6)
        key = identity(n, at)
        messages = more.pop("messages", ({"role": "user", "content": f"question {n}"},))
        answered, system, findings = more.pop("answered", None), more.pop("system", "be kind"), more.pop("findings", ())
        heard = tuple(HeardRow(exchange_id=key, heard_us=at, **each) for each in more.pop("heard", ()))
        said = [*messages, *([answered] if answered else [])]
        bodies = [MessageRow(f"{n:030x}{p:02x}", m["role"], json.dumps(m), at) for p, m in enumerate(said)]
        made = [self._call(key, at, n, i, one) for i, one in enumerate(calls)]
        row: dict[str, Any] = {
            "id": key, "started_us": at, "dialect": "openai.chat", "provider": "openai", "operation": "chat", "agent": "coder",
            "route": "/v1/chat/completions", "request_model": "gpt-4o-mini", "state": "complete", "cost": "0.01", "duration_us": 900_000,
            "overhead_us": 400, "input_tokens": 10, "output_tokens": 5, "enforcing": True, "calls": len(made), "session": "s1",
            "denied": sum(not each.released for each in made), "request_messages": tuple(each.hash for each in bodies[: len(messages)]),
            "response_message": bodies[-1].hash if answered else None, "input_preview": str(messages[-1]["content"])[:200],
            "first_byte_us": 500_000, "upstream_us": 800_000, "prompt_hash": f"{n:032x}", **more,
        }  # fmt: skip
        prompt = PromptRow(row["prompt_hash"], at, row["agent"], system, "[]")
        return Ended(ExchangeRow(**row), tuple(made), findings, tuple(bodies), prompt=prompt, heard=heard)

    def _call(self, exchange: str, at: int, n: int, index: int, given: Mapping[str, Any]) -> CallRow:
        effect = given.get("effect", "allow")
        hits = () if effect == "allow" else (RuleHit("bank", "known-payee", effect, message=given.get("message", "not known"), line=7),)
        row: dict[str, Any] = {
            "exchange_id": exchange, "id": f"dec_{n}_{index}", "decided_us": at + 1000, "index": index, "call_id": f"call_{index}",
            "name": "send_money", "type": "function", "arguments": '{"to": "Eve"}', "arguments_hash": "ab", "effect": effect,
            "released": effect == "allow", "code": "granted" if effect == "allow" else "rule", "reason": "because", "agent": "coder",
            "session": "s1", "policy": "bank" if hits else "", "rule": "known-payee" if hits else "", "judged_us": 90, "hits": hits,
        }  # fmt: skip
        return CallRow(**(row | {name: value for name, value in given.items() if name != "message"}))

    def ask_a_person(self, n: int, **more: Any) -> Approval:
        """A call that waits."""
        now = self.clock[0]
        given = {"agent": "coder", "session": "s1", "tool": "send_money", "arguments": '{"to": "Eve", "amount": 1}', "policy": "bank",
                 "rule": "large", "message": "large", "decision": f"dec_{n}", "exchange": "x", "user": "eve", **more}  # fmt: skip
        return self.approvals.ask(Approval(f"apr_{n}", now, now + 600_000_000, Bindings(f"o{n}", "s", "a"), **given), 99)

    def browse(self, do: Callable[[Browser], Any], **headers: str) -> Any:
        async def go() -> Any:
            base = f"http://{headers.pop('host', '127.0.0.1:8485')}"
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=base, headers=headers) as client:
                return await do(Browser(client, self))

        return self._loop.run(go())

    def seen(self, path: str, name: str = "ada") -> httpx.Response:
        """What somebody who is signed in gets there."""

        async def go(browser: Browser) -> httpx.Response:
            assert (await browser.sign_in(name)).status_code == 303
            return await browser.get(path)

        return self.browse(go)

    def sent(self, path: str, fields: Mapping[str, str], name: str = "ada", page: str = "/ui/account") -> httpx.Response:
        """What comes of a form of theirs."""

        async def go(browser: Browser) -> httpx.Response:
            assert (await browser.sign_in(name)).status_code == 303
            return await browser.post(path, fields, page)

        return self.browse(go)

    def join(self, role: str, name: str) -> None:
        """Another account beside ada's."""

        async def go(browser: Browser) -> None:
            assert (await browser.sign_in()).status_code == 303
            token = await browser.invite(role)
            await browser.post("/ui/logout", {}, "/ui/account")
            fields = {"token": token, "name": name, "password": PASSWORD, "again": PASSWORD}
            assert (await browser.post("/ui/begin", fields, "/ui/begin")).status_code == 303

        self.browse(go)

    def close(self) -> None:
        self._loop.close()
        if self.book.office is not None:
            self.book.office.close()


class Browser:
    """Sends what a browser sends: cookies, and with forms where they come from and the token that stands in the page."""

    def __init__(self, client: httpx.AsyncClient, house: House) -> None:
        self.client, self.house = client, house

    async def get(self, path: str, **headers: str | bytes) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, fields: Mapping[str, str], page: str, **headers: str) -> httpx.Response:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get(page)).text)
        assert token is not None
        sent = {"sec-fetch-site": "same-origin", **headers}
        return await self.client.post(path, data={"csrf": token[1], **fields}, headers=sent)

    async def begin(self, name: str = "ada") -> httpx.Response:
        """The first account."""
        token = self.house.invitation
        fields = {"token": token, "name": name, "password": PASSWORD, "again": PASSWORD}
        return await self.post("/ui/begin", fields, f"/ui/begin?token={token}")

    async def sign_in(self, name: str = "ada", password: str = PASSWORD) -> httpx.Response:
        return await self.post("/ui/login", {"name": name, "password": password}, "/ui/login")

    async def invite(self, role: str, name: str = "") -> str:
        """The invitation's token."""
        told = await self.post("/ui/people/invite", {f"role-{role}": "on", "name": name}, "/ui/people")
        found = re.search(r"/ui/begin\?token=([\w-]+)", told.text)
        assert found is not None, told.text
        return found[1]

    async def as_role(self, role: str, name: str) -> None:
        """Another account, signed in here from now on."""
        await self.begin()
        token = await self.invite(role)
        await self.post("/ui/logout", {}, "/ui/account")
        fields = {"token": token, "name": name, "password": PASSWORD, "again": PASSWORD}
        assert (await self.post("/ui/begin", fields, "/ui/begin")).status_code == 303
