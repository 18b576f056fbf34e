"""Costs under later prices: revised in every view, kept as they were recorded, the same in whatever order the journal is applied."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from gateway.cost import PriceTable
from gateway.errors import JournalUnavailable, StartError
from gateway.people.roles import Person
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import CostsRevised, Ended, Record
from gateway.trace.segments import Segment
from gateway.web import repricing
from gateway.web.doors import ADMIN, Doors, Endpoint, Room
from gateway.web.repricing import RepricingDesk


async def _admin(_: Request) -> Person:
    return ADMIN


def behind_doors(*rooms: tuple[str, str, Endpoint]) -> list[Route]:
    """For whoever holds the admin token."""
    return Doors([], [_admin]).routes(Room(method, path, endpoint, "erase") for method, path, endpoint in rooms)


NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)
OLD = {"m": {"input": "1", "output": "2"}}
NEW = {"m": {"input": "3", "output": "2", "input@flex": "1", "output@flex": "1"}, "late": {"input": "10", "output": "0"}}


def row(n: int, model: str = "m", hours: int = 1, **more: Any) -> ExchangeRow:
    at = NOW_US - hours * HOUR_US
    name = str(uuid.UUID(int=(at // 1000) << 80 | 7 << 76 | 2 << 62 | n))
    taken: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 10, "usage_raw": "{}", "cost": "0.00102", "price_model": "m"}
    return ExchangeRow(name, at, "openai.chat", "openai", "chat", "/v1", "bot", request_model=model, state="complete", prompt_hash="p",
                       price_version="old", **(taken | more))  # fmt: skip


class Books:
    """A ledger, and the desk above it."""

    def __init__(self, folder: Path, rows: Sequence[ExchangeRow]) -> None:
        self.table = b"{}"
        self.ledger, self.written, self._at, self.own, self.full = Ledger(folder / "ledger.duckdb"), list[Record](), 0, NEW, False
        for each in rows:
            self.apply(Ended(each))

    def apply(self, record: Record) -> None:
        self._at += 100
        self.ledger.apply([Batch(SEGMENT, [(self._at, record)], self._at + 100, b"h" * 32)])

    async def write(self, record: Record) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.written.append(record)
        self.apply(record)

    def prices(self) -> PriceTable:
        if self.own is None:
            raise StartError("cannot read the price table")
        return PriceTable.from_json(self.table, self.own, release="r")

    def send(self, **body: Any) -> httpx.Response:
        at_us = NOW_US + len(self.written)
        desk = RepricingDesk(self.ledger.fetch, self.write, self.prices, lambda: at_us, lambda: f"rev_{len(self.written)}")
        app = Starlette(routes=behind_doors(("POST", "/reprice", desk.reprice)))

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://book") as client:
                return await client.post("/reprice", json={"since": "2020-01-01", "by": "ada"} | body)

        return asyncio.run(go())

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(each.values()) for each in self.ledger.fetch(sql, {})]


@pytest.fixture
def books(tmp_path: Path) -> Any:
    made: list[Books] = []

    def make(*rows: ExchangeRow, folder: str = "one") -> Books:
        (tmp_path / folder).mkdir()
        made.append(Books(tmp_path / folder, rows))
        return made[-1]

    yield make
    for each in made:
        each.ledger.close()


def test_what_the_provider_said_it_charged_stays_unless_there_is_a_price_of_one_s_own(books):
    said = {"cost": "0.5", "price_model": "stated", "usage_raw": '{"cost": 0.5}'}
    house = books(*(msgspec.structs.replace(row(n, model, **said), provider="openrouter") for n, model in ((1, "other"), (2, "m"))))
    done = house.send().json()
    assert (done["looked_at"], done["revised"]) == (2, 1)
    found = house.ask("SELECT request_model, cost, price_model FROM exchanges ORDER BY id")
    assert found == [("other", Decimal("0.5"), "stated"), ("m", Decimal("0.00302"), "m")]


@pytest.mark.parametrize("kept", ["[redacted]", "[]", '{"cost": "?"}'])
def test_a_charge_that_the_book_does_not_hold_as_it_was_is_none(books, kept):
    house = books(msgspec.structs.replace(row(1, "other", usage_raw=kept, cost=None, price_model=None), provider="openrouter"))
    house.send()
    assert house.ask("SELECT cost, price_model FROM exchanges") == [(None, None)]


DAILY = "SELECT model, exchanges, cost, unpriced FROM cost_daily ORDER BY model"


def test_the_new_cost_is_in_every_view_and_the_recorded_one_is_kept(books: Any) -> None:
    house = books(row(1), row(2, "late", cost=None, price_model=None, not_priced=("model",)))
    done = house.send().json()
    assert (done["looked_at"], done["revised"], done["unpriced"]) == (2, 2, 0)
    assert (Decimal(done["before"]), Decimal(done["after"])) == (Decimal("0.00102"), Decimal("0.01302"))
    found = house.ask("SELECT request_model, cost, price_model, not_priced, price_version FROM exchanges ORDER BY id")
    version = house.prices().version
    assert found == [("m", Decimal("0.00302"), "m", [], version), ("late", Decimal("0.01"), "late", [], version)]
    assert house.ask(DAILY) == [("late", 1, Decimal("0.01"), 0), ("m", 1, Decimal("0.00302"), 0)]
    assert house.ask("SELECT cost, unpriced FROM prompt_versions") == [(Decimal("0.01302"), 0)]
    assert house.ask("SELECT recorded_cost FROM cost_revisions ORDER BY exchange_id") == [(Decimal("0.00102"),), (None,)]


def test_an_answer_that_was_given_again_stays_free(books: Any) -> None:
    house = books(row(1, cost="0", cache="hit", saved_cost="0.00102", input_tokens=None, output_tokens=None), row(2, cache="miss"))
    done = house.send().json()
    assert (done["looked_at"], done["revised"]) == (1, 1)
    assert house.ask("SELECT cache, cost, saved_cost FROM exchanges ORDER BY id") == [
        ("hit", Decimal(0), Decimal("0.00102")), ("miss", Decimal("0.00302"), None),
    ]  # fmt: skip
    daily = house.ask("SELECT agent, model, looked, hits, saved_cost, unpriced FROM cache_daily")
    assert daily == [("bot", "m", 2, 1, Decimal("0.00102"), 0)]


def test_a_dry_run_says_the_same_and_writes_nothing(books: Any) -> None:
    house = books(row(1))
    dry = house.send(dry_run=True).json()
    assert house.written == []
    wet = house.send().json()
    changed = {"dry_run", "revision"}
    assert {k: v for k, v in dry.items() if k not in changed} == {k: v for k, v in wet.items() if k not in changed}
    assert len(house.written) == 1


def test_what_comes_to_the_same_is_not_revised_again(books: Any) -> None:
    house = books(row(1))
    assert house.send().json()["revised"] == 1
    assert house.send().json()["revised"] == 0
    house.own = OLD
    assert house.send().json()["revised"] == 1
    assert house.ask(DAILY) == [("m", 1, Decimal("0.00102"), 0)]
    assert house.ask("SELECT count(*) FROM cost_revisions") == [(2,)]


def test_a_price_that_is_no_longer_known_makes_the_cost_unknown_and_says_why(books: Any) -> None:
    house = books(row(1))
    house.own = {"other": {"input": "1"}}
    assert house.send().json()["unpriced"] == 1
    assert house.ask("SELECT cost, not_priced FROM exchanges") == [(None, ["model"])]
    assert house.ask(DAILY) == [("m", 1, None, 1)]


def test_only_the_models_and_the_time_that_were_asked_for_are_revised(books: Any) -> None:
    house = books(row(1, hours=50), row(2, "late"), row(3))
    assert house.send(model="la*").json()["looked_at"] == 1
    since = house.ask("SELECT (started_at + INTERVAL 1 hour)::VARCHAR FROM exchanges ORDER BY id LIMIT 1")[0][0]
    assert house.send(since=since, model="m").json()["looked_at"] == 1


def test_tiers_searches_and_what_nobody_counted_stay_what_they_were(books: Any) -> None:
    house = books(
        row(1, service_tier="flex"), row(2, web_searches=2), row(3, not_priced=("web_search",), cost=None),
        row(4, price_terms=("us",)), row(5, price_terms=("file_search",)), row(6, rounds=2),
    )  # fmt: skip
    done = house.send().json()
    assert (done["looked_at"], done["in_rounds"]) == (6, 1)
    assert house.ask("SELECT cost, not_priced FROM exchanges ORDER BY id") == [
        (Decimal("0.00101"), []), (None, ["web_search"]), (None, ["web_search"]), (None, ["us"]), (None, ["file_search"]),
        (Decimal("0.00102"), []),
    ]  # fmt: skip


def test_what_is_added_at_some_of_a_providers_addresses_is_added_again(books: Any) -> None:
    house = books(row(1), row(2, price_terms=("processed_in_eu",)), row(3, price_terms=("regional_endpoint",)))
    house.table = b"""{"m": {"input_cost_per_token": 4e-06, "output_cost_per_token": 0, "regional_processing_uplift_multiplier_eu": 1.1}}"""
    house.own = {}
    house.send()
    assert house.ask("SELECT cost, not_priced FROM exchanges ORDER BY id") == [
        (Decimal("0.004"), []), (Decimal("0.0044"), []), (Decimal("0.004"), []),
    ]  # fmt: skip


def test_the_hour_in_which_an_exchange_began_and_what_nobody_counted_are_still_known(books: Any) -> None:
    """NOW_US is 13:06 in UTC on a Monday; the first began an hour before, the second six hours."""
    house = books(row(1), row(2, hours=6), row(3, not_priced=("retrieval",), cost=None), row(4, price_terms=("total_tokens",)))
    house.table = b"""{"m": {"input_cost_per_token": 4e-06, "output_cost_per_token": 0,
      "off_peak_pricing": {"input_cost_per_token": 1e-06, "hours_utc": "10:00-00:00"}}}"""
    house.own = {}
    assert house.send().json()["looked_at"] == 4
    assert house.ask("SELECT cost, not_priced FROM exchanges ORDER BY id") == [
        (Decimal("0.004"), []), (Decimal("0.001"), []), (None, ["retrieval"]), (None, ["total_tokens"]),
    ]  # fmt: skip


def test_many_exchanges_are_revised_page_by_page(books: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "_PAGE", repricing._PAGE.replace(f"LIMIT {repricing.PAGE}", "LIMIT 3"))
    house = books(*(row(n) for n in range(8)))
    assert house.send().json()["revised"] == 8
    assert [len(each.costs) for each in house.written] == [3, 3, 2]
    assert len({each.revision for each in house.written if isinstance(each, CostsRevised)}) == 1


def test_a_revision_applied_before_its_exchange_comes_to_the_same(books: Any) -> None:
    rows = (row(1), row(2, "late", cost=None, price_model=None), row(3))
    house = books(*rows)
    house.send()
    other = books(folder="other")
    for each in (*house.written, *map(Ended, rows)):
        other.apply(each)
    for sql in (DAILY, "SELECT * FROM cost_revisions ORDER BY ALL", "SELECT id, cost, price_version FROM exchanges ORDER BY id"):
        assert other.ask(sql) == house.ask(sql)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"since": "yesterday"}, 400, "write a day or a moment in UTC"),
        ({"by": ""}, 400, "'by' must be"),
        ({"model": " "}, 400, "'model' must be"),
        ({"surprise": 1}, 400, "surprise"),
    ],
)
def test_what_cannot_be_meant_is_refused(books: Any, body: dict[str, Any], status: int, words: str) -> None:
    answer = books().send(**body)
    assert answer.status_code == status
    assert words in answer.text


def test_without_a_price_table_or_a_journal_nothing_is_revised(books: Any) -> None:
    house = books(row(1))
    house.full = True
    assert house.send().status_code == 503
    house.full, house.own = False, None
    assert house.send().status_code == 503
    assert house.ask("SELECT cost FROM exchanges") == [(Decimal("0.00102"),)]
