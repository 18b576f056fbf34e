"""What a page is, what a form does, and what both may ask of the book.

A page's state is its address: the same address shows the same thing to whoever may see it. Its data is one function's, and the HTML, the
JSON and the CSV are three ways of writing down what that function gave.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.face.accounts import Accounts
from gateway.moving_labels import Labels
from gateway.people.roles import Person, Right
from gateway.question.wire import Question, Reply
from gateway.rollout.ruling import Rulings
from gateway.state.limits import Limits
from gateway.state.sessions import Session
from gateway.stores import Refused
from gateway.stores.answers import plain_row
from gateway.web.admin import Status, Subscription
from gateway.web.answers import FetchOf, Write
from gateway.web.approvals import Queue
from gateway.web.asking import Ask, answered
from gateway.web.content import Reader

Rows = list[dict[str, Any]]
QUESTIONS_AT_ONCE = 4


class Asked(Struct, frozen=True):
    """What somebody wants to see."""

    person: Person
    params: Mapping[str, str] = {}
    """The address's query; a name given twice is refused before."""
    subject: str = ""
    """What the address names: the id of an exchange."""
    session: str = ""
    """Which of the person's sessions asks."""
    sent: Mapping[str, str] = {}
    """The fields of a form that was sent to the page itself."""


class Stops(Protocol):
    """What pages ask and do of stopped sessions and paused agents (`state.sessions.Sessions`)."""

    def every(self, limit: int = 1000) -> list[Session]: ...
    def pause(self, agent: str, *, by: str, why: str, at_us: int) -> bool: ...
    def resume(self, owner: str, session: str, *, by: str, at_us: int, why: str = "") -> bool: ...


@dataclass(frozen=True)
class House:
    """What the face is built on: all of it, or what somebody sees who is bound to teams (`own.house_of`). Everything that blocks is called
    in a thread, by `ask` and `blocking`."""

    fetch: FetchOf
    status: Callable[[], Status]
    subscribe: Callable[[], Subscription]
    write: Write
    reader: Reader
    approvals: Queue
    sessions: Stops
    limits: Limits
    accounts: Accounts
    settings: Settings
    question: Ask
    views: Callable[[], Mapping[str, Mapping[str, str]]]
    """What can be asked about: table or view → column → type."""
    now_us: Callable[[], int]
    new_id: Callable[[], str]
    address: str = ""
    """Where people reach the pages from: scheme, host and port."""
    labels: Labels | None = None
    rulings: Rulings | None = None
    """Of experiments on prompts; neither is there where no book serves them."""
    teams: frozenset[str] | None = None
    """Whose it is, where it is not everybody's."""
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(QUESTIONS_AT_ONCE))

    async def ask(self, sql: str, params: Mapping[str, Any] | None = None) -> Rows:
        """SQL of our own, values as JSON has them. Raises GatewayError."""
        async with self._slots:
            try:
                found = await asyncio.to_thread(self.fetch, sql, params or {})
            except Refused as refused:
                raise unavailable(refused) from refused
            return [plain_row(row) for row in found]

    async def answer(self, person: Person, question: Question) -> Reply:
        """SQL that somebody wrote, on record. Raises Refused, JournalUnavailable."""
        async with self._slots:
            return await answered(self.question, self.write, person, question)

    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.now_us() / 1_000_000, dt.UTC).replace(tzinfo=None)


def unavailable(refused: Refused) -> GatewayError:
    return GatewayError("unavailable", refused.code, f"The book cannot answer just now: {refused.message}. Try again.")


Data = Callable[[House, Asked], Awaitable[dict[str, Any]]]
"""Raises GatewayError: `not_found`, `bad_request`, `refused`, `unavailable`."""
Live = Callable[[House, Asked], AsyncIterator[Any]]
"""Raises GatewayError before the first."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `path` is below `/ui`; `{subject}` in it stands for what it is about."""

    name: str
    path: str
    right: Right
    data: Data
    template: str
    rows: str = ""
    """The table among its data that the CSV twin holds, as rows or as an `Answer` by its fields; empty where there is none."""
    linked: bool = True
    """Whether it stands in the navigation."""
    live: Live | None = None
    """What is told to a page that stays open, one event after another."""
    takes_form: bool = False
    """Whether it can be asked by a form too, for texts that are too long for an address. Such a form changes nothing."""
    text: str = ""
    """The text among its data that the YAML twin holds; empty where there is none."""
    narrows: bool = False
    """Whether it shows people who are bound to teams what they may see, and no more. Where not, they are refused."""


class ToldOnce(Struct, frozen=True):
    """What a form's answer shows, and no address does: a secret that is not kept anywhere."""

    title: str
    secret: str
    hint: str
    back: str
    """Where to go then, below `/ui`."""


class Renewed(Struct, frozen=True):
    """Another sign-in in the place of this browser's."""

    to: str
    token: str


Done = str | ToldOnce | Renewed
"""The address to go to, or what else becomes of a form."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a form does: `POST path`."""

    path: str
    right: Right
    do: Callable[[House, Asked, Mapping[str, str]], Awaitable[Done]]
    narrows: bool = False
    """As a page's."""


def named(asked: Asked) -> str:
    """What somebody called it that the page is about: the end of the address, or what its query says (`rendering.addressed`)."""
    return asked.params.get("name", "") if asked.subject == "-" else asked.subject


def whole(asked: Asked, name: str, default: int, most: int) -> int:
    """A whole number of the address, from 1 to `most`. Raises GatewayError."""
    text = asked.params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise GatewayError("bad_request", "bad_request", f"'{name}' must be a whole number from 1 to {most}; it is '{text[:40]}'.")
    return int(text)


def one_of(asked: Asked, name: str, known: Sequence[str]) -> str:
    """One of a few words of the address, the first where nothing is said. Raises GatewayError."""
    text = asked.params.get(name, "") or known[0]
    if text not in known:
        raise GatewayError("bad_request", "bad_request", f"'{name}' must be one of {', '.join(known)}; it is '{text[:40]}'.")
    return text
