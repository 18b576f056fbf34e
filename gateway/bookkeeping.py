"""What one exchange writes into the journal, and when.

A stream opens (`Opened`), decides (`Decided`, one per call) and ends (`Ended`); an answer in one piece only ends. Records wait in line
until `settle`, so that several decisions share one group commit; nothing that depends on them may leave before it returns.
"""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

from gateway.answer import Usage
from gateway.clock import Clock
from gateway.cost import Cost, PriceTable
from gateway.errors import JournalUnavailable
from gateway.exchange import Exchange
from gateway.journal import Journal
from gateway.policy.running import worst
from gateway.price_entry import SEARCH
from gateway.prompt.fingerprint import Fingerprint
from gateway.stated_cost import STATED
from gateway.trace.exchange_rows import CallRow, ExchangeRow, MessageRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Decided, Ended, Opened
from gateway.trace.scribe import Links, Priced, Scribe
from gateway.verdict import Call, Verdict


class Bookkeeping:
    """The records of one exchange."""

    def __init__(
        self, x: Exchange, journal: Journal, scribe: Scribe, prices: PriceTable, clock: Clock, *, provider: str
    ) -> None:
        self._x = x
        self._journal = journal
        self._scribe = scribe
        self._prices = prices
        self._clock = clock
        self._provider, self.place = provider, ""
        self._opening: asyncio.Task[None] | None = None
        self._line: list[Decided] = []
        self._calls: list[CallRow] = []
        self._found: Fingerprint | None = None
        self._addresses: tuple[str, ...] | None = None
        self._response: str | None = None
        self.settled = True
        """Nothing is on its way to the journal: `settle` would return at once."""
        self.ended = False
        self.recorded = False
        """Its end is."""
        self.refused = False
        """The journal has refused its end. Not so where nobody waited any more to hear what became of it."""
        self.priced = Priced()
        """Once it has ended."""

    def prompt(self, found: Fingerprint) -> None:
        self._x.prompt_hash, self._x.template_hash = found.hash, found.template
        self._found = found

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def request_bytes(self) -> int:
        return len(self._x.request.body) if self._x.request else 0

    @property
    def opened(self) -> bool:
        """Its opening was written, or is being written."""
        return self._opening is not None

    def served_by(self, provider: str, place: str = "") -> None:
        """Who answers, where that is not the provider of the client's dialect: its prices count. `place`: at which of its addresses, where
        that changes them (`price_entry.PLACES`)."""
        self._provider, self.place = provider, place

    def open(self) -> None:
        """Starts writing the opening record of a stream; `settle` waits for it."""
        links, messages = self._request_side()
        record = Opened(self._row(Priced(), Links(links)), messages, self._prompt(), self._scribe.rendered(self._x))
        self.settled = False
        self._opening = asyncio.ensure_future(self._journal.append(record))
        self._opening.add_done_callback(_retrieved)

    def new_decision(self) -> str:
        return "dec_" + self._clock.new_id().replace("-", "")

    def decided(self, call: Call, verdict: Verdict, judged_us: int, decision: str = "") -> str:
        """Puts a decision in line; returns its id."""
        decision = decision or self.new_decision()
        row = self._scribe.call(
            self._x, call, verdict, decision=decision, decided_us=self._clock.now_us(), judged_us=judged_us
        )
        if self._opening is None:
            self._calls.append(row)
        else:
            self.settled = False
            self._line.append(Decided(row))
        return decision

    async def settle(self) -> None:
        """Returns when the opening and every decision so far are durable. Raises JournalUnavailable."""
        if self._opening is not None and not self._opening.done():
            await asyncio.shield(self._opening)
        elif self._opening is not None:
            self._opening.result()
        if self._line:
            await self._journal.append(*self._line)
            self._line.clear()
        self.settled = True

    async def end(self) -> None:
        """Writes the closing record, with everything not yet written. Raises JournalUnavailable. Once only."""
        if not self.ended:
            self.ended = True
            await self.end_late()

    async def end_late(self) -> None:
        """The closing record as things stand now, where `end` could not write it. Raises JournalUnavailable."""
        await self._opened_or_never()
        addresses, messages = self._request_side()
        self._response, answered = self._scribe.texts.response_message(self._x, self._clock.now_us())
        self.priced = self._price()
        row = self._row(self.priced, Links(addresses, self._response))
        first = self._opening is None
        prompt, rendered = (self._prompt(), self._scribe.rendered(self._x)) if first else (None, None)
        heard = self._scribe.heard(self._x, self._clock.now_us())
        ran = tuple(worst(self._x.ran))
        findings = self._scribe.findings(self._x)
        attempts = self._scribe.attempts(self._x, self.priced) if self._x.attempts else ()
        ended = Ended(row, tuple(self._calls), findings, messages + answered, prompt, heard, ran, rendered, attempts)
        try:
            await self._journal.append(*self._line, ended)
        except JournalUnavailable:
            self.refused = True
            self._forget()
            raise
        self.recorded, self.refused = True, False

    async def _opened_or_never(self) -> None:
        """An opening that could not be written is as good as none: the closing record then says it all."""
        if self._opening is None:
            return
        try:
            await asyncio.shield(self._opening)
        except JournalUnavailable:
            self._opening = None
            self._forget()
            self._calls += [decided.call for decided in self._line]
            self._line.clear()

    def _forget(self) -> None:
        """Nothing says that the bodies were written: they are written again. Bodies written twice are harmless."""
        self._scribe.texts.forget(self._x, [*(self._addresses or ()), *([self._response] if self._response else [])])
        self._addresses = self._response = None

    def _prompt(self) -> PromptRow | None:
        if self._found is None:
            return None
        return self._scribe.texts.prompt(self._x, self._found, self._x.started_us)

    def _request_side(self) -> tuple[tuple[str, ...], tuple[MessageRow, ...]]:
        """Addresses of the request's messages, and those bodies that were not written before (none when asked again)."""
        if self._addresses is not None or self._x.request is None:
            return self._addresses or (), ()
        self._addresses, rows = self._scribe.texts.request_messages(self._x, self._x.started_us)
        return self._addresses, rows

    def _row(self, priced: Priced, links: Links) -> ExchangeRow:
        durability = self._journal.durability
        return self._scribe.exchange(
            self._x, provider=self._provider, place=self.place, durability=durability, priced=priced, links=links
        )

    def _price(self) -> Priced:
        """What all rounds of the exchange cost, each at its own price."""
        x = self._x
        asked_for = x.upstream_model or (x.request.model if x.request else None)
        models, rounds = (x.answer.model, asked_for), x.rounds or (x.answer.usage,)
        if x.cache == "hit":
            return self._saved(models)
        heard = rounds if x.guess is None else rounds[:-1]
        if not any(models) or (x.guess is None and not any(heard)):
            return Priced(rounds=len(rounds))
        costs = [None if each is None else self._cost(models, each) for each in heard]
        if x.guess is not None:
            return self._guessed(costs, self._cost(models, x.guess.usage))
        known = [cost for cost in costs if cost is not None]
        uncounted = set() if {cost.model for cost in known} == {STATED} else self._uncounted(heard)
        unpriced = tuple(sorted({name for cost in known for name in cost.unpriced} | uncounted))
        amount = None if unpriced or None in costs else sum((cost.amount or Decimal(0) for cost in known), Decimal(0))
        each = tuple(None if cost is None or uncounted else cost.amount for cost in costs)
        return Priced(amount, self._prices.version, known[0].model, unpriced, len(rounds), each)

    def _cost(self, models: tuple[str | None, ...], usage: Usage) -> Cost:
        return self._prices.cost_of_either(self._provider, models, usage.at(self.place), self._x.started_us)

    def _guessed(self, costs: list[Cost | None], last: Cost) -> Priced:
        """What is known exactly of an answer that nobody heard to its end is not its cost."""
        amounts = [None if cost is None else cost.amount for cost in (*costs, last)]
        amount = None if None in amounts else sum((amount or Decimal(0) for amount in amounts), Decimal(0))
        each = (*amounts[:-1], None)
        return Priced(None, self._prices.version, last.model, (), len(amounts), each, estimated=amount, guessed=last.amount)

    def _saved(self, models: tuple[str | None, ...]) -> Priced:
        """Nobody was paid for an answer that was given again."""
        found = self._cost(models, self._x.spared or Usage())
        return Priced(Decimal(0), self._prices.version, found.model, saved=found.amount)

    def _uncounted(self, heard: tuple[Usage | None, ...]) -> set[str]:
        """What is charged by the piece, where no answer says how many there were."""
        request, told = self._x.request, any(usage is not None and usage.searches is not None for usage in heard)
        if request is None:
            return set()
        names = {UNCOUNTED.get((request.dialect, tool.name), "") for tool in request.server_tools} - {""}
        if request.dialect == "openai.chat" and _ALWAYS_SEARCHES.search(self._x.upstream_model or request.model):
            names.add(SEARCH)
        return names - {SEARCH} if told else names


UNCOUNTED = {
    ("openai.chat", "openai.web_search"): SEARCH,
    ("google.gemini", "google.enterprise_web_search"): "enterprise_web_search",
    ("google.gemini", "google.exa_ai_search"): "exa_ai_search",
    ("google.gemini", "google.parallel_ai_search"): "parallel_ai_search",
    ("google.gemini", "google.retrieval"): "retrieval",
}
"""(dialect, tool that the provider runs) → its name where it has no price."""
_ALWAYS_SEARCHES = re.compile(r"-search-(preview|api)\b")
"""Models of OpenAI's that search before they say anything."""


def _retrieved(task: asyncio.Task[None]) -> None:
    """An opening that failed is reported by `settle` or `end`; asyncio need not complain about one nobody waited for."""
    if not task.cancelled():
        task.exception()
