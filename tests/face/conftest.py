"""A face over a real ledger and real state, reached over HTTP as a browser reaches it, and by a browser."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.server
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect as websocket

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
from tests.patience import PATIENCE_S, until
from tests.serving import served_at

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
        record = self.ended(n, **told)
        self.book.apply(record)
        return record.exchange.id

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


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function with less work; `test_passwords.py` looks at the real one."""
    monkeypatch.setattr("gateway.people.passwords._N", 2**4)


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Opening one takes a second: who writes nothing into it shares it."""
    opened = Ledger(tmp_path_factory.mktemp("empty") / "ledger.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def build(tmp_path: Path, _empty: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    """With settings of its own; its ledger stays empty."""
    made: list[House] = []

    def built(more: Mapping[str, Any] | None = None, **face: Any) -> House:
        made.append(House(tmp_path, _empty, monkeypatch, more, **face))
        return made[-1]

    yield built
    for each in made:
        each.close()


@pytest.fixture
def build_shared(
    tmp_path: Path, _empty: Ledger, monkeypatch: pytest.MonkeyPatch, redis_server: Any
) -> Iterator[Callable[..., list[House]]]:
    """Two gateways that share their state on a server, and the installation's secret."""
    made: list[House] = []

    def built(**more: Any) -> list[House]:
        url, secret = redis_server.url(), b"s" * 32
        for name in ("one", "other"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / "secret").write_bytes(secret)
            (tmp_path / name / "secret").chmod(0o600)
            made.append(House(tmp_path / name, _empty, monkeypatch, {"state": url, **more}))
        return made

    yield built
    for each in made:
        each.close()


class Worker:
    """A worker's `/readyz`, on a real socket: `says` is what it answers."""

    def __init__(self, folder: Path) -> None:
        self.says: dict[str, Any] = {
            "ready": True, "draining": False, "slot": 1, "version": "0.1.0", "active": 2, "observing": False,
            "policy": {"hash": "ab" * 32, "git": "c0ffee", "stale": False, "problems": []}, "policy_stale": False,
            "prompts": {"hash": "", "git": None, "count": 0, "stale": False, "problems": []},
            "journal": {"healthy": True, "problem": None, "durability": "commit"}, "state": {"healthy": True, "problem": None},
            "routes": [], "keys_required": True,
        }  # fmt: skip
        worker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(worker.says).encode()
                self.send_response(200 if worker.says["ready"] else 503)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        (folder / "run.json").write_text(json.dumps({"listen": self.url, "admin": "http://127.0.0.1:8485"}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def worker(house: House) -> Iterator[Worker]:
    """Of `house`."""
    made = Worker(house.folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker_lived_in(lived_in: House) -> Iterator[Worker]:
    """Of `lived_in`."""
    made = Worker(lived_in.folder)
    yield made
    made.close()


class Issuer:
    """An OpenID provider in a process of its own (`oidc_provider.py`)."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).parent / "oidc_provider.py")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """An entry of `issuers:`."""
        sign_in = {"client": "pages of tollhouse", "secret": {"env": "ISSUER_SECRET"}, "authorize": f"{self.url}/authorize",
                   "token": f"{self.url}/token", "hours": 2.0}  # fmt: skip
        people = {"name": "preferred_username", "groups": "groups", "roles": {"ops": ["admin"], "readers": ["viewer-metadata"]}}
        named = {"name": "corp", "issuer": self.url, "audience": "api", "keys": f"{self.url}/jwks"}
        return {**named, "people": people, "sign_in": sign_in, **more}

    def twist(self, **how: Any) -> None:
        """What is wrong with what it says, until another is told."""
        httpx.get(f"{self.url}/twist", params={"as": json.dumps(how)}, trust_env=False, timeout=PATIENCE_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def _issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def issuer(_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    monkeypatch.setenv("ISSUER_SECRET", "s:e%c/r+et")
    _issuer.twist()
    return _issuer


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """Nothing has happened yet, and nobody has an account."""
    return build()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of a file, which fill its book."""
    folder = tmp_path_factory.mktemp("lived-in")
    ledger = Ledger(folder / "ledger.duckdb")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("gateway.people.passwords._N", 2**4)
        opened = House(folder, ledger, monkeypatch)
        yield opened
        opened.close()
    ledger.close()


CHROMIUM = next((path for name in ("chromium-headless-shell", "chromium", "chromium-browser") if (path := shutil.which(name))), None)


class Tab:
    """One page of a headless browser, by the DevTools protocol."""

    complaints: list[str]
    """What was said on its console, and what went wrong."""

    def __init__(self, folder: Path) -> None:
        switches = ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-proxy-server", "remote-debugging-port=0")
        command = [str(CHROMIUM), *(f"--{each}" for each in switches), f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stderr is not None
        address = next(found[1] for line in self._process.stderr if (found := re.search(r"listening on (ws://\S+)", line)))
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self._held = contextlib.ExitStack()
        self._socket = self._held.enter_context(websocket(address, max_size=None, ping_interval=None))
        self._numbers, self._session = itertools.count(1), None
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        number = next(self._numbers)
        told = {"id": number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        self._socket.send(json.dumps(told))
        while (answer := json.loads(self._socket.recv(timeout=60))).get("id") != number:
            self._note(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _note(self, event):
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]["exceptionDetails"]))
            case "Log.entryAdded" if event["params"]["entry"]["level"] in ("error", "warning"):
                self.complaints.append(event["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" if event["params"]["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(event["params"]["args"]))

    def go(self, address):
        self.send("Page.navigate", url=address)
        self.settle()

    def settle(self):
        """Until the document that is shown is whole."""
        time.sleep(0.1)
        until(lambda: self.run("document.readyState") == "complete", what="the document is whole")

    def run(self, script):
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script):
        """The first true value of an expression."""
        return until(lambda: self.run(script), what=script)

    def submit(self, selector, **fields):
        for name, value in fields.items():
            self.run(f"document.querySelector({json.dumps(f'{selector} [name={name}]')}).value = {json.dumps(value)}")
        self.run(f"document.querySelector({json.dumps(selector)}).querySelector('button').click()")
        time.sleep(0.3)
        self.settle()

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 and kind == "keyDown" else "")

    def picture(self, path, *, width=1280, dark=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        data = self.send("Page.captureScreenshot", captureBeyondViewport=False)["data"]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(data))

    def private_megabytes(self):
        """Of memory that only the process of this page has."""
        told = [*Path("/proc").glob("[0-9]*/cmdline")]
        mine = [each.parent for each in told if self._is_renderer(each)]
        kilobytes = re.compile(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", re.MULTILINE)
        return max(sum(map(int, kilobytes.findall((each / "smaps_rollup").read_text()))) for each in mine) / 1024

    def _is_renderer(self, cmdline):
        with contextlib.suppress(OSError):
            return os.getpgid(int(cmdline.parent.name)) == self._process.pid and b"--type=renderer" in cmdline.read_bytes()
        return False

    def close(self):
        self._held.close()
        os.killpg(self._process.pid, signal.SIGKILL)  # Debian's command is a script: its browser would stay
        self._process.wait(PATIENCE_S)


@pytest.fixture
def serving() -> Callable[[Any], Any]:
    """Puts an application at an address of its own."""
    return served_at


@pytest.fixture(scope="module")
def served(lived_in):
    """The face at an address of its own."""
    with served_at(lived_in.app) as at:
        yield lived_in, at


@pytest.fixture
def tab(tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium-headless-shell")
    opened = Tab(tmp_path / "profile")
    yield opened
    opened.close()


@pytest.fixture
def entered(served, tab):
    """The same, and the tab is signed in: the first one makes the account."""
    house, at = served
    if house.invitation:
        tab.go(f"{at}/ui/begin?token={house.invitation}")
        tab.submit("main form", name="ada", password=PASSWORD, again=PASSWORD)
    else:
        tab.go(f"{at}/ui/login")
        tab.submit("main form", name="ada", password=PASSWORD)
    return house, at
