"""Budgets on the admin plane: what was taken of each, for whom, and letting one begin at zero again.

Whom a budget counts for is known by the ledger (`exchanges.budgets`), what was taken by the state store: what is shown is what the next
request is measured by. A subject of which the book has kept no name (sessions, where only sizes and hashes are stored) cannot be looked up.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.budget_settings import Budget
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Caller
from gateway.policy.limits import Charge
from gateway.spending import charge, session_of
from gateway.state.limits import Limits
from gateway.stores import Refused
from gateway.trace.record import BudgetReset
from gateway.web.answers import NAME_LENGTH, Fetch, Write, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH
from gateway.web.doors import said_by

MOST_SUBJECTS = 10_000
SINCE_DAYS = 62
_SUBJECTS = f"""
SELECT substr(which, strpos(which, '=') + 1) AS subject, agent, org, key_id, session, max(started_at)::VARCHAR AS latest
FROM (SELECT unnest(budgets) AS which, agent, org, key_id, session, started_at, storing FROM exchanges
      WHERE len(budgets) > 0 AND started_at > now()::TIMESTAMP - to_days({SINCE_DAYS}))
WHERE starts_with(which, $name || '=') AND NOT (storing = 'metadata' AND starts_with(which, $name || '=hmac:'))
GROUP BY ALL ORDER BY latest DESC, 1, 2, 3, 4, 5 LIMIT {MOST_SUBJECTS}
"""  # noqa: S608 - constant


class Reset(Struct, forbid_unknown_fields=True):
    """Body of POST /budgets/{id}/reset."""

    by: str = ""
    subject: str | None = None
    """None: everybody's."""
    why: str = ""


class Used(Struct):
    """What one subject has taken."""

    subject: str
    taken: str
    left: str
    latest: str
    session: str | None = None
    """Where each session has a budget of its own."""
    reserved: str = "0"
    """Of what is taken: kept free for requests that still run."""


class BudgetsDesk:
    """The routes below `/budgets`; whoever mounts them checks the token."""

    def __init__(
        self, budgets: Sequence[Budget], limits: Limits, fetch: Fetch, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._budgets = {budget.id: budget for budget in budgets}
        self._limits, self._fetch, self._write, self._now_us, self._new_id = limits, fetch, write, now_us, new_id

    async def listed(self, request: Request) -> Response:
        return await self._answered(self.summaries, "budgets")

    def summaries(self) -> list[dict[str, Any]]:
        """Each budget, with how its fullest subject stands. May block. Raises GatewayError, Refused."""
        return [self._summary(budget) for budget in self._budgets.values()]

    async def shown(self, request: Request) -> Response:
        budget = self._budgets.get(request.path_params["id"])
        if budget is None:
            return self._unknown(request.path_params["id"])
        return await self._answered(lambda: {**_plain(budget), "subjects": [used for used, _ in self._used(budget)]}, "budget")

    async def reset(self, request: Request) -> Response:
        budget = self._budgets.get(request.path_params["id"])
        if budget is None:
            return self._unknown(request.path_params["id"])
        try:
            wanted = await strict(request, Reset)
            who, why = line("by", said_by(request, wanted.by), NAME_LENGTH), line("why", wanted.why, WHY_LENGTH) if wanted.why else ""
            done = await self._cleared(budget, wanted.subject, who, why)
        except ValueError as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        except Refused as error:
            return error_answer(503, error.code, str(error))
        return json_answer({"budget": budget.id, "subjects": done})

    async def _cleared(self, budget: Budget, subject: str | None, who: str, why: str) -> list[str]:
        """On record first: who cannot be named lets nothing begin anew."""
        found = [(used.subject, of) for used, of in await asyncio.to_thread(self._used, budget) if subject in (None, used.subject)]
        names = sorted({name for name, _ in found})
        if subject is not None and not names:
            message = f"budget '{budget.id}' has counted nothing for '{subject[:100]}' in {SINCE_DAYS} days; see: tollhouse budgets show"
            raise GatewayError("not_found", "no_such_subject", message)
        for name in names:
            await self._write(BudgetReset(self._new_id(), self._now_us(), who, budget.id, name, why))
        if found:
            await asyncio.to_thread(self._limits.clear, [of for _, of in found])
        return names

    async def _answered(self, ask: Callable[[], Any], name: str) -> Response:
        try:
            return json_answer({name: await asyncio.to_thread(ask)})
        except GatewayError as error:
            return refusal(error)
        except Refused as error:
            return error_answer(503, error.code, str(error))

    def _summary(self, budget: Budget) -> dict[str, Any]:
        """With how the fullest stands."""
        used = self._used(budget)
        fullest = min(used, key=lambda each: (float(each[0].left), each[0].subject), default=None)
        return {**_plain(budget), "subjects": len(used), "fullest": fullest[0] if fullest else None}

    def _used(self, budget: Budget) -> list[tuple[Used, Charge]]:
        """The latest first."""
        now, found = self._limits.steady_us(), dict[tuple[str | None, ...], tuple[Mapping[str, Any], Charge]]()
        for row in self._fetch(_SUBJECTS, {"name": budget.id}):
            session = session_of(budget, Caller(row["agent"], row["key_id"], session=row["session"] or "", org=row["org"]))
            of = charge(budget, row["subject"], session, 0, now, most=budget.most)
            found.setdefault(of.whose, (row, of))
        charges = [of for _, of in found.values()]
        reserved, taken = (self._limits.reserved(charges, now), self._limits.look(charges, now)) if charges else ((), ())
        told = zip(found.values(), taken, reserved, strict=True)
        return [(_one(budget, row, amount, held), of) for (row, of), amount, held in told]

    def _unknown(self, name: str) -> Response:
        known = ", ".join(self._budgets) or "none is set (budgets: in the settings)"
        return error_answer(404, "not_found", f"there is no budget '{name[:100]}'; budgets: {known}")


def _one(budget: Budget, row: Mapping[str, Any], amount: int, held: int) -> Used:
    left = budget.plain(max(budget.most - amount, 0))
    latest = dt.datetime.fromisoformat(row["latest"]).strftime("%Y-%m-%d %H:%M:%SZ")
    session = row["session"] if budget.window == "session" else None
    return Used(row["subject"], budget.plain(amount), left, latest, session, budget.plain(held))


def _plain(budget: Budget) -> dict[str, Any]:
    named = {name: getattr(budget, name) for name in ("id", "per", "of", "window", "action")}
    return {**named, "max": budget.plain(budget.most)}
