"""Opens the face: the accounts, what its pages ask of the book, its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.routing import Route

from gateway import clock, secret
from gateway.config import Settings
from gateway.face import earlier_accounts, first_login
from gateway.face.accounts import Accounts
from gateway.face.by_issuer import ByIssuer, flows
from gateway.face.entrance import Entrance
from gateway.face.page import House
from gateway.face.pages import DEEDS, PAGES
from gateway.face.rooms import Rooms
from gateway.installation import open_limits, open_people, open_sessions, open_sign_ins
from gateway.moving_labels import Labels
from gateway.people.issuers import PeopleClaims
from gateway.question.wire import Question, Reply
from gateway.rollout.ruling import Rulings
from gateway.state.approvals import Approvals
from gateway.trace.record import Record
from gateway.web.admin import Status, Subscription
from gateway.web.content import Open, Reader


class Book(Protocol):
    """What is asked of the book."""

    def fetch(
        self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None
    ) -> Sequence[Mapping[str, Any]]: ...
    def status(self) -> Status: ...
    def subscribe(self) -> Subscription: ...
    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply: ...
    def views(self) -> Mapping[str, Mapping[str, str]]: ...
    async def write(self, record: Record) -> None: ...


def open_face(
    settings: Settings, book: Book, approvals: Approvals, open_: Open, labels: Labels | None = None, rulings: Rulings | None = None
) -> list[Route]:
    """The routes, below `/ui`. While nobody has an account, the way to the first one lies in the data folder (`first_login`)."""
    data = settings.data_path
    people = open_people(settings)
    earlier_accounts.move_in(data, people)
    by = {each.name: each.people for each in settings.issuers if each.sign_in is not None and each.people is not None}
    accounts = Accounts(people, open_sign_ins(settings), by)
    _invite_the_first(accounts, data, by.values())
    house = House(
        fetch=book.fetch,
        status=book.status,
        subscribe=book.subscribe,
        write=book.write,
        reader=Reader(book.fetch, open_),
        approvals=approvals,
        sessions=open_sessions(settings),
        limits=open_limits(settings),
        accounts=accounts,
        settings=settings,
        question=book.ask,
        views=book.views,
        now_us=clock.now_us,
        new_id=lambda: str(clock.uuid7()),
        address=settings.face.url or settings.admin_address.url,
        labels=labels,
        rulings=rulings,
    )
    rooms = Rooms(house, PAGES, DEEDS, settings.face.url)
    key = secret.derive(secret.read_or_create(data), "signing in by an issuer")
    entrance = Entrance(rooms, list(by))
    return [*entrance.routes(), *ByIssuer(rooms, entrance, flows(settings.issuers, key)).routes(), *rooms.routes()]


def hosts(settings: Settings) -> list[str]:
    """Names, beside the listener's own, under which people reach the face."""
    return [str(urlsplit(settings.face.url).hostname)] if settings.face.url else []


def _invite_the_first(accounts: Accounts, data: Path, issuers: Iterable[PeopleClaims]) -> None:
    """A start after a crash leaves the invitation that was printed as it is. Where an issuer makes administrators, there is none."""
    now = clock.now_us()
    if accounts.any(now) or any("admin" in roles for each in issuers for roles in each.roles.values()):
        first_login.used(data)
        return
    token = first_login.read(data)
    if token is None or not accounts.invited(token, now):
        first_login.write(data, accounts.invite_the_first(now))
