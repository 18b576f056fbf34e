"""What a page with a filter wants: its terms as SQL, bounded in time, where it goes on, and that it was looked through on record.

1. Without `since` in the filter it is of the last seven days, and says so: no page reads the whole book by accident.
2. Pages follow each other by the last row's time and id (`?before=`), never by counting rows: page 1,000 costs what page 1 costs.
3. What was said is looked through only for those who may read content, and that they did is on record first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.errors import GatewayError
from gateway.face.filter_sql import Where, where
from gateway.face.filters import FilterProblem, Term, parse
from gateway.face.page import Asked, House, Rows
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead

PAGE_ROWS = 50
DAYS = 7


class Wanted(Struct, frozen=True):
    text: str
    terms: tuple[Term, ...]
    found: Where
    since: str | None
    """Where the filter itself says nothing."""
    looks: bool
    """Whether what was said is looked through: what is found tells of it."""

    @property
    def began(self) -> str:
        """From when on it looks."""
        return next((term.values[0] for term in self.terms if term.field == "since"), self.since or "")


class Place(NamedTuple):
    """Where a page goes on: after the row of this time and id."""

    at: str
    last: str


def read(house: House, asked: Asked, days: int = DAYS) -> Wanted:
    """Raises FilterProblem, GatewayError."""
    text = asked.params.get("q", "")
    terms = parse(text, house.now())
    looks = any(term.field == "text" for term in terms)
    if looks and not asked.person.may("see-content"):
        message = "Looking through what was said takes the right see-content. Leave out text and words that stand alone."
        raise GatewayError("refused", "no_right", message)
    since = None if any(term.field == "since" for term in terms) else (house.now() - dt.timedelta(days=days)).isoformat()
    return Wanted(text, terms, where(terms, since), since, looks)


def told(problem: FilterProblem) -> dict[str, Any]:
    """What is wrong with the filter, for the page."""
    return {"message": problem.message, "position": problem.position}


async def note(house: House, asked: Asked, page: str, wanted: Wanted, count: int) -> None:
    """That it is read is on record before it is shown. Raises JournalUnavailable."""
    subject = f"{page} {wanted.text}".strip()[:1000]
    await house.write(ContentRead(ReadRow(house.new_id(), house.now_us(), asked.person.name, "list", subject, "", count)))


async def began(house: House) -> bool:
    """Whether anything has happened at all."""
    return bool(await house.ask("SELECT 1 AS one FROM exchanges LIMIT 1"))


def paged(rows: Rows, most: int = PAGE_ROWS, at: str = "started_at") -> tuple[Rows, str | None]:
    """Rows of which one more was asked for: those of this page, and where the next goes on."""
    return rows[:most], _key(rows[most - 1], at) if len(rows) > most else None


def place(asked: Asked, name: str = "before") -> Place | None:
    """Raises GatewayError."""
    text = asked.params.get(name, "")
    if not text:
        return None
    at, _, last = text.partition("~")
    try:
        dt.datetime.fromisoformat(at)
    except ValueError:
        message = f"'{name}' is what the link to the next page says; begin at the first page."
        raise GatewayError("bad_request", "bad_cursor", message) from None
    return Place(at, last)


def _key(row: Mapping[str, Any], at: str) -> str:
    return f"{row[at].removesuffix('Z')}~{row['id']}"
