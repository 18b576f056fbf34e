"""Budgets on the admin plane: what the state store has counted, for those whom the ledger names; a reset is on record first."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from gateway.budget_settings import Budget
from gateway.clock import now_us
from gateway.errors import JournalUnavailable
from gateway.exchange import Caller
from gateway.people.roles import Person
from gateway.spending import charge, session_of
from gateway.state.sqlite_limits import SqliteLimits
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import BudgetReset, Ended, Record
from gateway.trace.segments import Segment
from gateway.web.budgets import BudgetsDesk
from gateway.web.doors import ADMIN, Doors, Endpoint, Room


async def _admin(_: Request) -> Person:
    return ADMIN


def behind_doors(*rooms: tuple[str, str, Endpoint]) -> list[Route]:
    """For whoever holds the admin token."""
    return Doors([], [_admin]).routes(Room(method, path, endpoint, "erase") for method, path, endpoint in rooms)


SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)
DAY = Budget(id="day", per="team", of="money", max="10.00", window="day")
STEPS = Budget(id="steps", per="session", of="requests", max=5, window="session", action="soft")


class House:
    def __init__(self, folder: Path) -> None:
        self.ledger, self.limits = Ledger(folder / "ledger.duckdb"), SqliteLimits(folder / "state.sqlite")
        self.written: list[Record] = []
        self.full, self._at, self.budgets = False, 0, [DAY, STEPS]

    def apply(self, record: Record) -> None:
        self._at += 100
        self.ledger.apply([Batch(SEGMENT, [(self._at, record)], self._at + 100, b"h" * 32)])

    def took(self, budget: Budget, subject: str, amount: int, session: str = "", hours: int = 0) -> None:
        """As the data plane counts and records it."""
        caller, at = Caller("bot", "k", session=session), self.limits.steady_us()
        self.limits.take([charge(budget, subject, session_of(budget, caller), amount, at, most=2**62)], at)
        name = str(uuid.UUID(int=(now_us() // 1000) << 80 | 7 << 76 | 2 << 62 | self._at))
        self.apply(Ended(ExchangeRow(
            name, now_us() - hours * 3_600_000_000, "openai.chat", "openai", "chat", "/v1", "bot", key_id="k", session=session,
            state="complete", budgets=(f"{budget.id}={subject}",), cost="0.5", calls=2, input_tokens=7, output_tokens=3,
        )))  # fmt: skip

    async def write(self, record: Record) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.written.append(record)
        self.apply(record)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        desk = BudgetsDesk(self.budgets, self.limits, self.ledger.fetch, self.write, now_us, lambda: f"r{len(self.written)}")
        routes = [("GET", "/budgets", desk.listed), ("GET", "/budgets/{id}", desk.shown)]
        app = Starlette(routes=behind_doors(*routes, ("POST", "/budgets/{id}/reset", desk.reset)))

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://book") as client:
                return await client.request(method, path, **more)

        return asyncio.run(go())

    def taken(self, name: str) -> list[tuple[str, str]]:
        return [(each["subject"], each["taken"]) for each in self.send("GET", f"/budgets/{name}").json()["budget"]["subjects"]]


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    made.took(DAY, "red", 2_500_000_000)
    made.took(DAY, "red", 1)
    made.took(DAY, "a=b", 9_000_000_000)
    made.took(STEPS, "s1", 1, session="s1")
    yield made
    made.ledger.close()
    made.limits.close()


def test_each_subject_is_shown_with_what_it_took_and_has_left(house: House) -> None:
    found = house.send("GET", "/budgets/day").json()["budget"]
    assert {each["subject"]: (each["taken"], each["left"]) for each in found["subjects"]} == {
        "red": ("2.500000001", "7.499999999"), "a=b": ("9.00", "1.00"),
    }  # fmt: skip
    assert (found["max"], found["of"], found["window"]) == ("10.00", "money", "day")
    steps = house.send("GET", "/budgets/steps").json()["budget"]["subjects"]
    assert [(each["subject"], each["session"], each["taken"], each["left"]) for each in steps] == [("s1", "s1", "1", "4")]


def test_the_list_names_who_is_nearest_to_the_end(house: House) -> None:
    day, steps = house.send("GET", "/budgets").json()["budgets"]
    assert (day["id"], day["subjects"], day["fullest"]["subject"]) == ("day", 2, "a=b")
    assert (steps["id"], steps["action"]) == ("steps", "soft")
    house.budgets = []
    assert house.send("GET", "/budgets").json() == {"budgets": []}


def test_a_reset_of_one_leaves_the_others_and_is_on_record(house: House) -> None:
    done = house.send("POST", "/budgets/day/reset", json={"by": "ada", "subject": "a=b", "why": "agreed"})
    assert done.json() == {"budget": "day", "subjects": ["a=b"]}
    assert sorted(house.taken("day")) == [("a=b", "0.00"), ("red", "2.500000001")]
    (record,) = house.written
    assert isinstance(record, BudgetReset)
    assert (record.who, record.budget, record.subject, record.why) == ("ada", "day", "a=b", "agreed")
    (row,) = house.ledger.fetch("SELECT who, budget, subject FROM budget_resets", {})
    assert tuple(row.values()) == ("ada", "day", "a=b")


def test_a_reset_of_all_begins_anew_for_everybody(house: House) -> None:
    assert house.send("POST", "/budgets/day/reset", json={"by": "ada"}).json()["subjects"] == ["a=b", "red"]
    assert {taken for _, taken in house.taken("day")} == {"0.00"}
    assert house.taken("steps") == [("s1", "1")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/budgets/none/reset", {"by": "ada"}, 404),
        ("/budgets/day/reset", {"by": "ada", "subject": "blue"}, 404),
        ("/budgets/day/reset", {"by": ""}, 400),
        ("/budgets/day/reset", {"by": "ada", "surprise": 1}, 400),
    ],
)
def test_what_cannot_be_meant_resets_nothing(house: House, path: str, body: dict[str, Any], status: int) -> None:
    assert house.send("POST", path, json=body).status_code == status
    assert house.written == []
    assert ("red", "2.500000001") in house.taken("day")


def test_what_cannot_be_put_on_record_is_not_reset(house: House) -> None:
    house.full = True
    assert house.send("POST", "/budgets/day/reset", json={"by": "ada"}).status_code == 503
    assert ("red", "2.500000001") in house.taken("day")


def test_an_unknown_budget_is_told_with_those_there_are(house: House) -> None:
    answer = house.send("GET", "/budgets/nope")
    assert (answer.status_code, "budgets: day, steps" in answer.text) == (404, True)


def test_the_view_adds_up_days_and_subjects(house: House) -> None:
    rows = house.ledger.fetch("SELECT budget, subject, requests, refused, cost, tokens, calls FROM budget_use ORDER BY ALL", {})
    assert [tuple(str(value) for value in row.values()) for row in rows] == [
        ("day", "a=b", "1", "0", "0.500000000", "10", "2"),
        ("day", "red", "2", "0", "1.000000000", "20", "4"),
        ("steps", "s1", "1", "0", "0.500000000", "10", "2"),
    ]
