"""Keys, people and teams on the admin plane: listed, made, rotated, changed and ended, as `tollhouse keys` and `tollhouse people` do it.

A secret is in the answer that makes it, and nowhere afterwards. Who did it is the person at the door; each change is on record with the
next beat of a worker (`gateway/minutes.py`). People who are bound to teams have no business here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import issuing
from gateway.errors import GatewayError
from gateway.issuing import KeyWish, PersonWish
from gateway.state.keys import Keys
from gateway.state.people import People
from gateway.web.answers import NAME_LENGTH, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH
from gateway.web.doors import said_by

KEEP_OLD_S = 86_400.0


class KeyAsked(KeyWish, frozen=True, forbid_unknown_fields=True):
    """Body of POST /keys."""

    by: str = ""


class PersonAsked(PersonWish, frozen=True, forbid_unknown_fields=True):
    """Body of POST /people."""

    by: str = ""


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /keys/{id}/rotate."""

    keep_old_s: float = KEEP_OLD_S
    """How long the old one stays good."""
    by: str = ""
    why: str = ""


class Roles(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /people/{name}/roles: in the place of what they have."""

    roles: list[str]
    teams: list[str] | None = None
    by: str = ""


class Ending(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /keys/{id}/revoke and /people/{name}/remove."""

    by: str = ""
    why: str = ""


class AccessDesk:
    """The routes; whoever mounts them checks the rights."""

    def __init__(self, keys: Keys, people: People, now_us: Callable[[], int]) -> None:
        self._keys, self._people, self._now_us = keys, people, now_us

    async def keys(self, request: Request) -> Response:
        return await _done(lambda: {"keys": [issuing.shown_key(each, self._now_us()) for each in self._keys.every()]})

    async def key(self, request: Request) -> Response:
        return await _done(lambda: {"key": issuing.find_key(self._keys, request.path_params["id"], self._now_us())})

    async def create(self, request: Request) -> Response:
        def make(wish: KeyAsked, by: str) -> dict[str, Any]:
            key = issuing.create_key(self._keys, wish, self._now_us(), by)
            return {"key": key, "id": _id_of(key), "agent": wish.agent}

        return await _asked(request, KeyAsked, make, 201)

    async def rotate(self, request: Request) -> Response:
        old = request.path_params["id"]

        def make(wish: Rotation, by: str) -> dict[str, Any]:
            if not 0 <= wish.keep_old_s <= issuing.MOST_DAYS * 86_400:
                raise ValueError(f"'keep_old_s' must be from 0 to {issuing.MOST_DAYS * 86_400}")
            now = self._now_us()
            until = now + int(wish.keep_old_s * 1_000_000)
            key = self._keys.rotate(old, now, until, by=by, why=_why(wish.why))
            return {"key": key, "id": _id_of(key), "replaces": old, "old_until": issuing.moment_of(until)}

        return await _asked(request, Rotation, make, 201)

    async def revoke(self, request: Request) -> Response:
        name = request.path_params["id"]

        def end(wish: Ending, by: str) -> dict[str, Any]:
            issuing.revoke_key(self._keys, name, self._now_us(), by, _why(wish.why))
            return {"id": name, "state": "revoked"}

        return await _asked(request, Ending, end)

    async def people(self, request: Request) -> Response:
        return await _done(lambda: {"people": [issuing.shown_person(each, self._now_us()) for each in self._people.every()]})

    async def add(self, request: Request) -> Response:
        def make(wish: PersonAsked, by: str) -> dict[str, Any]:
            new, token = issuing.add_person(self._people, wish, self._now_us(), by)
            return {"token": token, "person": new.id, "roles": list(new.roles), "teams": new.teams}

        return await _asked(request, PersonAsked, make, 201)

    async def roles(self, request: Request) -> Response:
        name = request.path_params["name"]

        def change(wish: Roles, by: str) -> dict[str, Any]:
            return issuing.change_person(self._people, name, wish.roles, wish.teams, self._now_us(), by)

        return await _asked(request, Roles, change)

    async def remove(self, request: Request) -> Response:
        name = request.path_params["name"]

        def end(wish: Ending, by: str) -> dict[str, Any]:
            return issuing.remove_person(self._people, name, self._now_us(), by, _why(wish.why))

        return await _asked(request, Ending, end)

    async def teams(self, request: Request) -> Response:
        return await _done(lambda: {"teams": issuing.teams(self._keys, self._people, self._now_us())})


async def _asked(request: Request, kind: type[Any], do: Callable[[Any, str], dict[str, Any]], status: int = 200) -> Response:
    """What the body asks for, done by whoever stands at the door."""
    try:
        wish = await strict(request, kind)
        by = line("by", said_by(request, wish.by), NAME_LENGTH)
    except GatewayError as error:
        return refusal(error)
    except ValueError as error:
        return error_answer(400, "bad_request", str(error))
    return await _done(lambda: do(wish, by), status)


async def _done(do: Callable[[], dict[str, Any]], status: int = 200) -> Response:
    """Stores wait for disks and servers."""
    try:
        return json_answer(msgspec.to_builtins(await asyncio.to_thread(do)), status)
    except GatewayError as error:
        return refusal(error)
    except ValueError as error:
        return error_answer(400, "bad_request", str(error))


def _why(said: str) -> str:
    return line("why", said, WHY_LENGTH) if said else ""


def _id_of(key: str) -> str:
    return key.split("_")[1]
