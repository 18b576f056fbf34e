"""Costs under other prices: `POST /reprice`. What exchanges since a day took is priced again with the table that is installed and the
overrides of the settings, and what comes out otherwise is put on record.

Nothing is rewritten. A revision is a fact of its own in the book's journal, so that a rebuilt ledger shows the same; the views show the
latest. Of an exchange in several rounds the ledger has the sum of their tokens alone, and long prompts cost more: those are left as they
were priced, round by round, and counted.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.answer import TOKENS, Usage
from gateway.bookkeeping import UNCOUNTED
from gateway.cost import Cost, PriceTable
from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.price_entry import PLACES, SEARCH, TERMS
from gateway.stated_cost import charged
from gateway.stores import Refused
from gateway.trace.people_rows import RevisedRow
from gateway.trace.record import CostsRevised
from gateway.web.answers import NAME_LENGTH, Fetch, Write, error_answer, json_answer, line, refusal, strict
from gateway.web.doors import said_by

PAGE = 5_000
_TOKENS = ", ".join(f"o.{name}_tokens" for name in TOKENS)
_PAGE = f"""
SELECT o.id, epoch_us(o.started_at) AS started_us, o.agent, o.team, o.provider, o.response_model, o.request_model, o.prompt_hash, {_TOKENS},
       o.usage_raw, o.web_searches, o.service_tier, o.price_terms, coalesce(o.rounds, 1) AS rounds, o.not_priced AS recorded_not_priced,
       o.cost AS recorded_cost, e.cost, e.price_model, e.not_priced
FROM exchanges_ended AS o JOIN exchanges AS e ON e.id = o.id
WHERE o.started_at >= $since::TIMESTAMP AND o.id > $after AND o.usage_raw IS NOT NULL AND o.cache IS DISTINCT FROM 'hit'
ORDER BY o.id LIMIT {PAGE}
"""  # noqa: S608 - constant


class Reprice(Struct, forbid_unknown_fields=True):
    """Body of POST /reprice."""

    since: str
    """A day, or a moment, in UTC: `2026-11-01`, `2026-11-01T12:00:00`."""
    by: str = ""
    model: str = "*"
    """A glob over the model that answered, or else was asked for."""
    dry_run: bool = False


class Repriced(Struct):
    """What came of it. Money is USD; `before` and `after` are of what was revised, as far as each was known."""

    revision: str
    price_version: str
    looked_at: int = 0
    revised: int = 0
    in_rounds: int = 0
    unpriced: int = 0
    """Revised, and without a known cost now."""
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    dry_run: bool = False

    def add(self, row: RevisedRow, known: Decimal | None) -> None:
        self.revised += 1
        self.unpriced += row.cost is None
        self.before += known or 0
        self.after += Decimal(row.cost or 0)


class RepricingDesk:
    """Whoever mounts it checks the token. `load` reads the price table as it is now; it raises StartError."""

    def __init__(
        self, fetch: Fetch, write: Write, load: Callable[[], PriceTable], now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._fetch, self._write, self._load, self._now_us, self._new_id = fetch, write, load, now_us, new_id
        self._one_at_a_time = asyncio.Lock()

    async def reprice(self, request: Request) -> Response:
        try:
            wanted = await strict(request, Reprice)
            async with self._one_at_a_time:
                done = await self._repriced(wanted, said_by(request, wanted.by))
        except ValueError as error:
            return error_answer(400, "bad_request", str(error))
        except (StartError, Refused) as error:
            return error_answer(503, "unavailable", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer(done)

    async def _repriced(self, wanted: Reprice, who: str) -> Repriced:
        by, since = line("by", who, NAME_LENGTH), _moment(wanted.since)
        line("model", wanted.model, NAME_LENGTH)
        prices = await asyncio.to_thread(self._load)
        done, at_us, after = Repriced(self._new_id(), prices.version, dry_run=wanted.dry_run), self._now_us(), ""
        while page := await asyncio.to_thread(self._fetch, _PAGE, {"since": since, "after": after}):
            rows = tuple(_revisions(page, wanted.model, prices, done))
            if rows and not wanted.dry_run:
                await self._write(CostsRevised(done.revision, at_us, by, rows))
            after = page[-1]["id"]
        return done


def _moment(since: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(since)
    except ValueError:
        raise ValueError(f"'since' is '{since[:40]}'; write a day or a moment in UTC, like 2026-11-01") from None
    return (moment.astimezone(dt.UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat()


def _revisions(page: Sequence[Mapping[str, Any]], glob: str, prices: PriceTable, done: Repriced) -> Iterator[RevisedRow]:
    for row in page:
        model = row["response_model"] or row["request_model"]
        if not fnmatchcase(model, glob):
            continue
        done.looked_at += 1
        if row["rounds"] > 1:
            done.in_rounds += 1
            continue
        cost = prices.cost_of_either(row["provider"], (row["response_model"], row["request_model"]), _usage(row), row["started_us"])
        if _differs(row, cost):
            revised = _revised(row, model, cost, prices.version)
            done.add(revised, row["cost"])
            yield revised


_TERMS = {*TERMS, *PLACES}


def _usage(row: Mapping[str, Any]) -> Usage:
    """As it was read from the answer. What nobody could count stays so."""
    beside = tuple(row["price_terms"] or ())
    uncounted = {*UNCOUNTED.values()} & {*(row["recorded_not_priced"] or ())} - ({SEARCH} if row["web_searches"] is not None else set())
    return Usage(
        **{name: row[f"{name}_tokens"] for name in TOKENS},
        searches=row["web_searches"],
        tier=row["service_tier"] or "",
        terms=tuple(each for each in beside if each in _TERMS),
        fees=(*(each for each in beside if each not in _TERMS), *sorted(uncounted)),
        charged=_charged(row["usage_raw"]),
    )


def _charged(said: str) -> Decimal | None:
    """As the answer said it, where the book holds that as it was."""
    try:
        block = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return None
    return charged(block) if isinstance(block, dict) else None


def _differs(row: Mapping[str, Any], cost: Cost) -> bool:
    """The ledger keeps nine digits."""
    amount = None if cost.amount is None else cost.amount.quantize(Decimal("1e-9"))
    return bool((row["cost"], row["price_model"], set(row["not_priced"] or ())) != (amount, cost.model, set(cost.unpriced)))


def _revised(row: Mapping[str, Any], model: str, cost: Cost, version: str) -> RevisedRow:
    recorded = row["recorded_cost"]
    return RevisedRow(
        exchange_id=row["id"],
        started_us=row["started_us"],
        agent=row["agent"],
        team=row["team"],
        provider=row["provider"],
        model=model,
        prompt_hash=row["prompt_hash"],
        recorded_cost=None if recorded is None else format(recorded, "f"),
        cost=None if cost.amount is None else format(cost.amount, "f"),
        price_version=version,
        price_model=cost.model,
        not_priced=tuple(sorted(cost.unpriced)),
    )
