"""A ledger with a few hundred rows of every kind, and an office to ask about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from gateway.question.office import Office
from gateway.question.wire import Question
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import CallRow, ExchangeRow, MessageRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Booted, Decided, Ended, Opened, Record
from gateway.trace.segments import Segment
from gateway.verdict import Finding, RuleHit

START_US = 1_790_000_000_000_000
SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)
AGENTS = ["coder", "it's", "a\nb", "input_tokens=5", 'quo"te', "", "ä€🦀", "x' AND state='open"]


def records(count: int, start_us: int = START_US) -> Iterator[Record]:
    """One exchange an hour."""
    yield Booted(SEGMENT.run, 0, SEGMENT.boot, start_us, "0.1")
    for n in range(count):
        at = start_us + n * 3_600_000_000
        row = ExchangeRow(
            f"{n:032x}", at, "openai.chat", "openai", "chat", "/v1/chat/completions", AGENTS[n % len(AGENTS)],
            team=None if n % 3 else "blue", request_model=f"gpt-{n % 4}", state="complete" if n % 5 else "denied", input_tokens=n % 7,
            cost=None if n % 11 == 0 else f"0.{n:09d}", prompt_hash=f"p{n % 3}", finish_reasons=("stop", "x"), duration_us=n * 1000,
            session=f"s{n % 9}", unevaluated=("a",) if n % 6 == 0 else (),
        )  # fmt: skip
        call = CallRow(
            row.id, f"dec_{n}", at + 1, 0, f"c{n}", f"tool{n % 5}", "function", f'{{"amount": {n}}}', "h",
            "deny" if n % 5 == 0 else "allow", n % 5 != 0, "rule",
            "because", row.agent, hits=(RuleHit("bank", f"r{n % 2}", "deny", message="no", line=7),),
        )  # fmt: skip
        message = MessageRow(f"{n:032x}", "user", f"body {n}\x00\n'", at)
        prompt = PromptRow(f"p{n % 3}", at, row.agent, "be good", '[{"name": "tool1"}]')
        if n % 10 == 0:
            yield Opened(msgspec.structs.replace(row, state="open"), (message,), prompt)
            yield Decided(call)
        else:
            yield Ended(row, (call,), (Finding("strict_json", "dup_key", "error", "$", "twice"),), (message,), prompt)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(tmp_path_factory.mktemp("question") / "ledger.duckdb")
    opened.apply([Batch(SEGMENT, list(enumerate(records(300))), 999_999, bytes(32))])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    opened = Office()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ask(ledger: Ledger, office: Office) -> Callable[..., dict[str, Any]]:
    """The JSON answer to a question."""

    def asked(sql: str, limit: int = 10_000, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = msgspec.json.decode(office.ask(ledger, Question(sql, limit, params)).body)
        return answer

    return asked
