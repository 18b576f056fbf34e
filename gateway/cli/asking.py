"""Reaching the book from the command line: the running gateway's admin plane, else the ledger file itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from gateway.errors import GatewayError, StartError
from gateway.stores import Answer, Refused

DEFAULT_DATA = ".tollhouse"
_SLOWEST_S = 40.0


class Running(Struct):
    """`run.json` of a data folder: where a gateway runs."""

    admin: str = ""


def data_folder(given: Path | None) -> Path:
    """The folder that was named, else TOLLHOUSE_DATA, else ./.tollhouse. Raises StartError when there is none."""
    data = given or Path(os.environ.get("TOLLHOUSE_DATA") or DEFAULT_DATA)
    if not data.is_dir():
        raise StartError(f"there is no data folder {data}: start the gateway with 'tollhouse up', or name one with --data")
    return data


def admin_client(data: Path) -> httpx.Client | None:
    """A client that carries the admin token; None when no gateway is said to run there."""
    try:
        running = msgspec.json.decode((data / "run.json").read_bytes(), type=Running)
        token = (data / "admin.token").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{data / 'run.json'} is damaged ({error}); delete it, or start the gateway anew") from error
    if not running.admin:
        return None
    return httpx.Client(base_url=running.admin, headers={"authorization": f"Bearer {token}"}, timeout=_SLOWEST_S, trust_env=False)


def ask(data: Path, sql: str, limit: int, params: Mapping[str, str]) -> Answer:
    """Asks the running gateway, or the file when none answers. Raises GatewayError for a question that is refused."""
    client = admin_client(data)
    if client is not None:
        try:
            with client:
                return _answer(client.post("/sql", json={"sql": sql, "limit": limit, "params": dict(params)}))
        except httpx.ConnectError:  # run.json was left behind by a gateway that is gone
            return _ask_file(data, sql, limit, params)
        except httpx.HTTPError as error:
            problem = f"the gateway's admin plane does not answer: {error}; see 'tollhouse status'"
            raise GatewayError("unavailable", "admin_plane", problem) from error
    return _ask_file(data, sql, limit, params)


def _ask_file(data: Path, sql: str, limit: int, params: Mapping[str, str]) -> Answer:
    """What the ledger holds; records still in the journal are applied when a gateway runs again."""
    path = data / "ledger.duckdb"
    if not path.is_file():
        raise StartError(f"there is no ledger in {data} yet: start the gateway with 'tollhouse up'")
    from gateway.stores.duckdb import Ledger

    ledger = Ledger(path, read_only=True)
    try:
        return ledger.query(sql, limit, params)
    except Refused as refused:
        raise GatewayError("bad_request", refused.code, refused.message) from refused
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


def _answer(response: httpx.Response) -> Answer:
    if response.status_code == httpx.codes.OK:
        return Answer(**response.json())
    raise refusal(response)


def refusal(response: httpx.Response) -> GatewayError:
    """The admin plane's error, as it said it."""
    try:
        told: Mapping[str, Any] = response.json()["error"]
        return GatewayError("bad_request", str(told["code"]), str(told["message"]))
    except (ValueError, KeyError, TypeError):
        return GatewayError("unavailable", "admin_plane", f"the admin plane answered {response.status_code}; is it another program's port?")
