"""Reaching the book from the command line: the running gateway's admin plane, else the ledger file itself.

Who asks is whoever may read the data folder, by its `admin.token`; or a person, by a token of their own in TOLLHOUSE_TOKEN: then they have
their roles and no more, their name is what is written down, and no file is read in the place of a gateway. TOLLHOUSE_ADMIN_URL names a
gateway that is elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from gateway.cli.beside import folder_beside, there, user_name
from gateway.cli.visible import visible
from gateway.errors import GatewayError, LedgerInUse, StartError
from gateway.stores import Answer, Refused
from gateway.stores.media_types import MEDIA_TYPES, Form

if TYPE_CHECKING:  # half a second that only asking the file itself needs
    from gateway.stores.duckdb import Ledger
    from gateway.web.queries import Query

_SLOWEST_S = 40.0
_SNAPSHOT_S = 1900.0
_BEGINS_S = 10.0
_WHERE = "TOLLHOUSE_ADMIN_URL must be where the admin plane is reached: https://tollhouse.example.com"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_Found = TypeVar("_Found")


class Running(Struct):
    """`run.json` of a data folder: where a gateway runs."""

    admin: str = ""


def data_folder(given: Path | None) -> Path:
    """Whose book is asked, and of a gateway that is elsewhere none. Raises StartError where there is no such folder."""
    if os.environ.get("TOLLHOUSE_ADMIN_URL"):
        return given or Path()
    return there(folder_beside(given))


def own_token() -> str:
    """The person's who runs this; empty: whoever may read the data folder does. Raises StartError for what can be none."""
    token = os.environ.get("TOLLHOUSE_TOKEN", "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise StartError("TOLLHOUSE_TOKEN is no token; set it to what 'tollhouse people add' printed, or unset it")
    return token


def acting(by: str | None) -> str:
    """Who is to be written down. Whom a token proves, the gateway knows."""
    return by or ("" if own_token() else user_name())


def admin_client(data: Path) -> httpx.Client | None:
    """A client that carries the person's token, or the folder's; None when no gateway is said to run there. Raises StartError."""
    token = own_token()
    if elsewhere := os.environ.get("TOLLHOUSE_ADMIN_URL"):
        return _client(_careful(elsewhere, token), token)
    try:
        running = msgspec.json.decode((data / "run.json").read_bytes(), type=Running)
        token = token or (data / "admin.token").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        message = f"{error.filename} is not yours to read: set TOLLHOUSE_TOKEN to a token of your own, and TOLLHOUSE_ADMIN_URL"
        raise StartError(message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{data / 'run.json'} is damaged ({error}); delete it, or start the gateway anew") from error
    return _client(running.admin, token) if running.admin else None


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=_SLOWEST_S, trust_env=False)


def _careful(url: str, token: str) -> str:
    """Where a token may be sent. Raises StartError."""
    try:
        parts = urlsplit(url)
        beyond = (parts.port or 1, parts.username, parts.path.strip("/"), parts.query, parts.fragment)[1:]
    except ValueError as error:
        raise StartError(_WHERE) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or any(beyond):
        raise StartError(_WHERE)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise StartError("TOLLHOUSE_ADMIN_URL must begin with https://: your token would cross the network for everybody to read")
    if not token:
        raise StartError("set TOLLHOUSE_TOKEN, too: a token of your own ('tollhouse people add', or the page Account)")
    return url


class Fetched(NamedTuple):
    """An answer in the form that was wanted."""

    body: bytes
    truncated: bool


def ask(data: Path, sql: str, limit: int, params: Mapping[str, str]) -> Answer:
    """Asks the running gateway, or the file when none answers. Raises GatewayError for a question that is refused."""
    return Answer(**msgspec.json.decode(fetch(data, sql, limit, params, "json").body))


def ask_saved(data: Path, query: Query, limit: int, params: Mapping[str, str]) -> Answer:
    """Asks a saved question, of which only the values come from outside: a shipped one is answered by the book itself, which need not lend
    rows to anybody for it. Raises GatewayError."""
    if query.own:
        return ask(data, query.sql, limit, params)
    unknown = sorted(params.keys() - query.params.keys())
    if unknown:
        known = ", ".join(query.params) or "none"
        raise GatewayError("bad_request", "unknown_parameter", f"{query.name} has no parameter '{unknown[0]}'; it has: {known}")

    def of_gateway(client: httpx.Client) -> Answer:
        found = _answer(client.get(f"/queries/{query.name}", params={**params, "limit": str(limit)}))
        return Answer(**msgspec.json.decode(found.body))

    return _reached(data, of_gateway, lambda: _in_file(data, lambda ledger: ledger.query(query.sql, limit, params)))


def fetch(data: Path, sql: str, limit: int, params: Mapping[str, str], form: Form) -> Fetched:
    """The same as `ask`, in any form that there is."""
    question = {"sql": sql, "limit": limit, "params": dict(params)}

    def of_gateway(client: httpx.Client) -> Fetched:
        return _answer(client.post("/sql", json=question, headers={"accept": MEDIA_TYPES[form]}))

    return _reached(data, of_gateway, lambda: _ask_file(data, sql, limit, params, form))


def _reached(data: Path, ask: Callable[[httpx.Client], _Found], otherwise: Callable[[], _Found]) -> _Found:
    """What the running gateway's admin plane answers, or `otherwise` where none runs. One that is about to serve has the file already and
    has not said where it is: it is waited for."""
    until = time.monotonic() + _BEGINS_S
    while True:
        try:
            return _asked(data, ask, otherwise)
        except LedgerInUse:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _asked(data: Path, ask: Callable[[httpx.Client], _Found], otherwise: Callable[[], _Found]) -> _Found:
    client = admin_client(data)
    if client is None:
        if own_token():
            raise StartError(f"no gateway runs on {data}, and TOLLHOUSE_TOKEN is for one that does: 'tollhouse up' starts it")
        return otherwise()
    try:
        with client:
            return ask(client)
    except httpx.ConnectError as error:  # run.json was left behind by a gateway that is gone
        if own_token():
            message = f"no gateway answers ({error}), and with TOLLHOUSE_TOKEN no file is read in its place; unset it, or start the gateway"
            raise GatewayError("unavailable", "admin_plane", message) from error
        return otherwise()
    except httpx.HTTPError as error:
        problem = f"the gateway's admin plane does not answer: {error}; see 'tollhouse status'"
        raise GatewayError("unavailable", "admin_plane", problem) from error


def views(data: Path) -> Mapping[str, Mapping[str, str]]:
    """What can be asked about: table or view → column → type."""

    def of_gateway(client: httpx.Client) -> Mapping[str, Mapping[str, str]]:
        answer = client.get("/views")
        if answer.status_code != httpx.codes.OK:
            raise refusal(answer)
        told: Mapping[str, Mapping[str, str]] = answer.json()["views"]
        return told

    return _reached(data, of_gateway, lambda: _in_file(data, lambda ledger: ledger.views()))


def make_snapshot(data: Path, since: str | None, *, parquet: bool) -> Path:
    """Where it is. Raises GatewayError."""

    def of_gateway(client: httpx.Client) -> Path:
        told = client.post("/snapshots", json={"since": since, "parquet": parquet}, timeout=_SNAPSHOT_S)
        if told.status_code != httpx.codes.OK:
            raise refusal(told)
        return Path(told.json()["path"])

    return _reached(data, of_gateway, lambda: _snapshot_of_file(data, since, parquet=parquet))


def _snapshot_of_file(data: Path, since: str | None, *, parquet: bool) -> Path:
    from gateway.question.snapshots import Snapshots

    made = Snapshots((data / "snapshots").absolute())
    return _in_file(data, lambda ledger: made.make(ledger, ledger.views(), since=since, parquet=parquet).path)


def _ask_file(data: Path, sql: str, limit: int, params: Mapping[str, str], form: Form) -> Fetched:
    from gateway.question.office import Office
    from gateway.question.wire import Question

    def answer(ledger: Ledger) -> Fetched:
        office = Office()
        try:
            reply = office.ask(ledger, Question(sql, limit, dict(params), form))
            return Fetched(reply.body, reply.truncated)
        finally:
            office.close()

    return _in_file(data, answer)


def _in_file(data: Path, look: Callable[[Ledger], _Found]) -> _Found:
    """What the ledger holds; records still in the journal are applied when a gateway runs again."""
    path = data / "ledger.duckdb"
    if not path.is_file():
        raise StartError(f"there is no ledger in {data} yet: start the gateway with 'tollhouse up'")
    from gateway.stores.duckdb import Ledger

    ledger = Ledger(path, read_only=True)
    try:
        return look(ledger)
    except Refused as refused:
        raise GatewayError("bad_request", refused.code, _harmless(refused.message)) from refused
    finally:
        ledger.close()


def call(data: Path, method: str, path: str, **more: Any) -> Any:
    """What the running gateway's admin plane answers. Raises StartError when none runs, GatewayError for what it refuses."""
    client = admin_client(data)
    if client is None:
        raise StartError(f"no gateway is running on {data}; start it with 'tollhouse up'.")
    try:
        with client:
            response = client.request(method, path, **more)
    except httpx.HTTPError as error:
        problem = f"the gateway's admin plane does not answer: {error}; see 'tollhouse status'"
        raise GatewayError("unavailable", "admin_plane", problem) from error
    if not response.is_success:
        raise refusal(response)
    return response.json()


def _answer(response: httpx.Response) -> Fetched:
    if response.status_code == httpx.codes.OK:
        return Fetched(response.content, response.headers.get("tollhouse-truncated") == "true")
    raise refusal(response)


def refusal(response: httpx.Response) -> GatewayError:
    """The admin plane's error, as it said it; whom it does not know is told where that was said."""
    if response.status_code == httpx.codes.UNAUTHORIZED and own_token():
        message = "TOLLHOUSE_TOKEN proves nobody there: ended, or another gateway's; 'tollhouse people token NAME' makes a new one"
        return GatewayError("bad_request", "unauthorized", message)
    try:
        told: Mapping[str, Any] = response.json()["error"]
        return GatewayError("bad_request", str(told["code"]), _harmless(str(told["message"])))
    except (ValueError, KeyError, TypeError):
        return GatewayError("unavailable", "admin_plane", f"the admin plane answered {response.status_code}; is it another program's port?")


def _harmless(message: str) -> str:
    """An error may quote what a model wrote. It keeps its lines: a caret stands under its place."""
    return "\n".join(visible(line) for line in message.split("\n"))
