"""What one exchange writes, and when: also when the journal fails in between."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from gateway.answer import Answer, Usage
from gateway.bookkeeping import Bookkeeping
from gateway.clock import Clock
from gateway.cost import PriceTable
from gateway.errors import JournalUnavailable
from gateway.exchange import Caller, Exchange
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Message, Request, ServerTool
from gateway.trace.record import Decided, Ended, Opened
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.verdict import Call, Verdict

PRICES = PriceTable.from_json(b'{"m": {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}}')
ALLOW = Verdict("allow", True, "granted", "ok")


class Paper:
    """A journal that keeps records in a list and fails on the appends whose numbers are in `failing`."""

    durability = "commit"

    def __init__(self, *failing: int) -> None:
        self.records: list = []
        self.appends = 0
        self._failing = failing

    async def append(self, *records) -> None:
        self.appends += 1
        await asyncio.sleep(0)
        if self.appends in self._failing:
            raise JournalUnavailable("disk full")
        self.records += records


def exchange(model: str = "m") -> Exchange:
    message = Message("user", b'{"role":"user","content":"hi"}', "hi")
    x = Exchange("id", 1, "openai.chat", "/v1/chat/completions", Caller("bot"))
    x.request = Request("openai.chat", model, True, (message,), (), b"")
    return x


def books(journal: Paper, x: Exchange, scribe: Scribe | None = None) -> Bookkeeping:
    book = Bookkeeping(x, journal, scribe or Scribe(b"k" * 32, Redactor([])), PRICES, Clock(), provider="openai")
    book.prompt(fingerprint(x.request))
    return book


CALL = Call("c", "pay", "{}", {}, 0)


def stream(journal: Paper, x: Exchange, scribe: Scribe | None = None):
    async def run():
        book = books(journal, x, scribe)
        book.open()
        await book.settle()
        book.decided(CALL, ALLOW, 1)
        await book.settle()
        await book.end()

    asyncio.run(run())
    return journal.records


def test_a_stream_opens_decides_and_ends():
    opened, decided, ended = stream(Paper(), exchange())
    assert isinstance(opened, Opened)
    assert isinstance(decided, Decided)
    assert isinstance(ended, Ended)
    assert len(opened.messages) == 1
    assert opened.prompt is not None
    assert (ended.messages, ended.prompt, ended.calls) == ((), None, ())
    assert ended.exchange.request_messages == opened.exchange.request_messages


@pytest.mark.parametrize(
    ("dialect", "model", "tool", "searches", "not_priced"),
    [
        ("openai.chat", "m", "openai.web_search", None, ("web_search",)),
        ("openai.chat", "gpt-4o-mini-search-preview-2025-03-11", None, None, ("web_search",)),
        ("openai.chat", "gpt-5-search-api", None, None, ("web_search",)),
        ("openai.chat", "my-search-previewer", None, None, ()),
        ("openai.responses", "m", "openai.web_search", None, ()),
        ("google.gemini", "m", "google.search", None, ()),
        ("google.gemini", "m", "google.exa_ai_search", 1, ("exa_ai_search", "web_search")),
        ("google.gemini", "m", "google.retrieval", None, ("retrieval",)),
    ],
)
def test_what_is_charged_by_the_piece_and_nobody_counts_has_no_price(dialect, model, tool, searches, not_priced):
    journal, x = Paper(), exchange()
    tools = (ServerTool(tool, "tools[0]"),) if tool else ()
    x.request = replace(x.request, dialect=dialect, model=model, server_tools=tools)
    x.answer = Answer(model="m", usage=Usage(input=1, output=1, searches=searches))
    asyncio.run(books(journal, x).end())
    assert tuple(journal.records[-1].exchange.not_priced) == not_priced


def test_a_model_that_searches_is_known_by_the_name_that_its_target_gives_it():
    journal, x = Paper(), exchange()
    x.upstream_model = "gpt-4o-search-preview"
    x.answer = Answer(model="m", usage=Usage(input=1, output=1))
    asyncio.run(books(journal, x).end())
    assert tuple(journal.records[-1].exchange.not_priced) == ("web_search",)


def test_it_is_settled_while_nothing_that_was_said_waits_for_the_journal():
    journal, seen = Paper(), []

    async def run():
        book = books(journal, exchange())
        seen.append(book.settled)
        for begin in (book.open, lambda: book.decided(CALL, ALLOW, 1)):
            begin()
            seen.append(book.settled)
            await book.settle()
            seen.append(book.settled)

    asyncio.run(run())
    assert seen == [True, False, True, False, True]


def test_an_opening_that_failed_leaves_it_unsettled():
    async def run():
        book = books(Paper(1), exchange())
        book.open()
        with pytest.raises(JournalUnavailable):
            await book.settle()
        return book.settled

    assert asyncio.run(run()) is False


def test_an_answer_in_one_piece_only_ends():
    journal = Paper()

    async def run():
        book = books(journal, exchange())
        book.decided(CALL, ALLOW, 1)
        await book.settle()
        await book.end()
        await book.end()

    asyncio.run(run())
    (ended,) = journal.records
    assert len(ended.calls) == 1
    assert len(ended.messages) == 1
    assert ended.prompt is not None


def test_an_opening_that_failed_is_told_before_the_first_byte_and_the_end_says_it_all():
    journal, x = Paper(1), exchange()

    async def run():
        book = books(journal, x)
        book.open()
        with pytest.raises(JournalUnavailable):
            await book.settle()
        book.decided(CALL, ALLOW, 1)
        await book.end()

    asyncio.run(run())
    (ended,) = journal.records
    assert len(ended.messages) == 1
    assert ended.prompt.tools == "[]"
    assert [call.name for call in ended.calls] == ["pay"]


def test_a_decision_that_could_not_be_written_is_in_the_next_record():
    journal = Paper(2)

    async def run():
        book = books(journal, exchange())
        book.open()
        await book.settle()
        book.decided(CALL, ALLOW, 1)
        with pytest.raises(JournalUnavailable):
            await book.settle()
        await book.end()

    asyncio.run(run())
    assert [type(record) for record in journal.records] == [Opened, Decided, Ended]


def test_bodies_of_an_exchange_that_could_not_be_recorded_are_written_with_the_next():
    scribe = Scribe(b"k" * 32, Redactor([]))

    async def run(journal):
        book = books(journal, exchange(), scribe)
        await book.end()

    with pytest.raises(JournalUnavailable):
        asyncio.run(run(Paper(1)))
    journal = Paper()
    asyncio.run(run(journal))
    assert len(journal.records[0].messages) == 1
    assert journal.records[0].prompt.tools == "[]"


def test_an_answer_that_could_not_be_recorded_is_written_with_the_next_that_says_the_same():
    scribe = Scribe(b"k" * 32, Redactor([]))

    async def run(journal):
        x = exchange()
        x.answer = Answer(text="the same")
        await books(journal, x, scribe).end()

    with pytest.raises(JournalUnavailable):
        asyncio.run(run(Paper(1)))
    journal = Paper()
    asyncio.run(run(journal))
    [ended] = journal.records
    assert ended.exchange.response_message in {message.hash for message in ended.messages}


@pytest.mark.parametrize("opens", [True, False])
def test_an_end_that_was_refused_is_written_late_with_all_that_was_decided_and_said(opens):
    journal, x = Paper(2 if opens else 1), exchange()
    x.answer = Answer(text="said")

    async def run():
        book = books(journal, x)
        if opens:
            book.open()
            await book.settle()
        book.decided(CALL, ALLOW, 1)
        with pytest.raises(JournalUnavailable):
            await book.end()
        assert (book.recorded, book.refused) == (False, True)
        x.state = "incomplete"
        await book.end_late()
        assert (book.recorded, book.refused) == (True, False)

    asyncio.run(run())
    *before, ended = journal.records
    assert [type(each) for each in before] == ([Opened, Decided] if opens else [])
    assert ended.exchange.state == "incomplete"
    assert len(ended.calls) == (not opens)
    written = {message.hash for record in journal.records if not isinstance(record, Decided) for message in record.messages}
    assert {*ended.exchange.request_messages, ended.exchange.response_message} <= written


def test_an_end_that_nobody_waited_for_any_more_is_not_taken_for_refused():
    async def run():
        book = books(Paper(), exchange())
        ending = asyncio.create_task(book.end())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        return book.ended, book.refused

    assert asyncio.run(run()) == (True, False)


def test_an_opening_nobody_waited_for_is_no_complaint():
    async def run():
        book = books(Paper(1), exchange())
        book.open()
        await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("asked", "answered", "usage", "cost", "model"),
    [
        ("m", "m", Usage(input=10, output=1), "0.020", "m"),
        ("m", "m-unknown", Usage(input=10, output=1), "0.020", "m"),
        ("alias", "m", Usage(input=10, output=1), "0.020", "m"),
        ("nobody", "nobody", Usage(input=10, output=1), None, None),
        ("m", "m", Usage(), None, "m"),
        ("m", "m", None, None, None),
        ("m", None, Usage(input=10, output=1), "0.020", "m"),
    ],
)
def test_the_price_is_that_of_the_model_that_answered_or_else_of_the_one_asked(asked, answered, usage, cost, model):
    x = exchange(asked)
    x.answer = Answer(model=answered, usage=usage)
    journal = Paper()
    asyncio.run(books(journal, x).end())
    row = journal.records[0].exchange
    assert (row.cost, row.price_model) == (cost, model)
