"""What the parts of a request cost alone, in this process: `python -m tests.bench.parts --help`.

Decoding by dialect and by length of the conversation, judging by rules and by conversation, searching for secrets, hashing, an answer read
and written anew, writing to the journal. CPU µs of the thread, medians: other programs hardly lengthen them. What a request costs in all
says `python -m tests.bench`; this is where it goes. A conversation is told as clients tell it: all of it anew, with another last message.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gateway.clock import uuid7
from gateway.dialects import DIALECTS
from gateway.dialects.events import Limits
from gateway.exchange import Caller
from gateway.journal import Journal
from gateway.policy import Conversation, Facts, PolicySet, Reading, evaluate, load
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Message, Request
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.pens import everything
from gateway.trace.record import Booted, Ended
from gateway.trace.redact import Redactor
from gateway.verdict import Call
from tests.bench import report, wire
from tests.bench.peers import tollhouse

SIZES = ("2k", "16k", "60k", "400k")
RULES = (1, 20, 100, 500)
ARGS = {"to": "GB29NWBK60161331926819", "amount": 12.5, "note": "tea"}
CALL = Call("c", "send_money", json.dumps(ARGS), ARGS, 0)
NOTHING: frozenset[str] = frozenset()


class Part(NamedTuple):
    name: str
    of: str
    us: float


def timed(once: Callable[[int], object], budget_s: float) -> float:
    """Median CPU µs of a run, each with a number of its own, over as many as fit in the time (5 at least)."""
    for warming in range(3):
        once(-1 - warming)
    found: list[float] = []
    until = time.thread_time() + budget_s
    while len(found) < 5 or (time.thread_time() < until and len(found) < 2000):
        began = time.thread_time_ns()
        once(len(found))
        found.append((time.thread_time_ns() - began) / 1000)
    return statistics.median(found)


# -- what is read -----------------------------------------------------------------------------------------


def numbered(body: bytes) -> Callable[[int], bytes]:
    """The same conversation with another last message each time."""
    before, behind = wire.parted(body)
    return lambda number: wire.mark(number).join((before, behind))


def chat(size: str) -> Callable[[int], bytes]:
    return numbered(wire.body("tool", size))


def messages(size: str) -> Callable[[int], bytes]:
    """The words of a conversation in Anthropic's form."""
    told = [each for each in json.loads(wire.body("tool", size))["messages"] if each["role"] == "user"]
    turns: list[dict[str, Any]] = []
    for each in told[:-1]:
        turns += [{"role": "user", "content": each["content"]}, {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}]
    turns.append({"role": "user", "content": told[-1]["content"]})
    return numbered(json.dumps({"model": "m", "max_tokens": 100, "messages": turns}).encode())


def read(dialect: str, path: str, body: bytes) -> Request:
    endpoint = next(each for each in DIALECTS[dialect].endpoints(path) if each.method == "POST")
    return DIALECTS[dialect].decode_request(body, {}, NOTHING, endpoint)


def decoding(budget: float) -> Iterator[Part]:
    forms = (("openai.chat", wire.PATH, chat), ("anthropic.messages", "/v1/messages", messages))
    for dialect, path, form in forms:
        for size in SIZES:
            make = form(size)
            length = len(make(0))
            us = timed(lambda number, path=path, dialect=dialect, make=make: read(dialect, path, make(number)), budget)  # type: ignore[misc]
            yield Part(f"decode, {dialect}", f"{length / 1000:.0f} KB", us)


# -- what is judged ---------------------------------------------------------------------------------------


def told(size: str, number: int) -> tuple[Message, ...]:
    return read("openai.chat", wire.PATH, chat(size)(number)).messages


def judging(budget: float) -> Iterator[Part]:
    for rules in RULES:
        loaded = load({"p.yaml": tollhouse.policy(rules).encode()})
        yield Part(f"judge, {rules} rules", "2KB of conversation", _judged(loaded, "2k", budget))
    for size in SIZES[1:]:
        loaded = load({"p.yaml": tollhouse.policy().encode()})
        yield Part(f"judge, {tollhouse.GUARDS} rules", f"{size.upper()}B of conversation", _judged(loaded, size, budget))


def _judged(loaded: PolicySet, size: str, budget: float) -> float:
    """The conversation was read before: what is left is looking its words up."""
    reading, conversations = Reading(), [told(size, number) for number in range(50)]

    def once(number: int) -> None:
        talk = Conversation(conversations[number % 50], reading)
        verdict = evaluate(loaded, Facts(CALL, Caller("bench-agent"), "openai.chat", "m", conversation=talk))
        if verdict.effect != "allow":
            raise AssertionError(f"the bench's policy denies the bench's call: {verdict.reason}")

    return timed(once, budget)


# -- what is hashed, searched, encoded and written --------------------------------------------------------


def words(budget: float) -> Iterator[Part]:
    redactor = Redactor(["sk-bench-provider-key-0000"])
    for size in SIZES:
        text = "\n".join(message.text for message in told(size, 0))
        fresh = [f"{number} {text}" for number in range(50)]
        yield Part("search for secrets and personal data", f"{size.upper()}B", _over(fresh, lambda each: list(everything(each)), budget))
        yield Part("search for the gateway's own keys", f"{size.upper()}B", _over(fresh, redactor.text, budget))
    request = read("openai.chat", wire.PATH, chat("2k")(0))
    yield Part("fingerprint of system prompt and tools", "2 KB", timed(lambda _: fingerprint(request), budget))


def _over(texts: list[str], once: Callable[[str], object], budget: float) -> float:
    return timed(lambda number: once(texts[number % len(texts)]), budget)


def answering(budget: float) -> Iterator[Part]:
    """An answer with one call: read, and written anew where the call is withheld."""
    dialect, request = DIALECTS["openai.chat"], read("openai.chat", wire.PATH, chat("2k")(0))
    make = numbered(wire.whole("tool").partition(b"\r\n\r\n")[2])
    yield Part("decode an answer", "1 call", timed(lambda number: dialect.decode_answer(make(number), request, Limits()), budget))
    whole = dialect.decode_answer(make(0), request, Limits())
    yield Part("encode an answer", "1 call withheld", timed(lambda _: dialect.encode_answer(whole, {0: "denied"}), budget))


def writing(budget: float) -> Iterator[Part]:
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_journal(Path(folder), budget))


async def _journal(folder: Path, budget: float) -> list[Part]:
    """Appends that are awaited one by one (a sync each) and 64 at a time (a sync for all), per record."""
    run, boot = uuid7().hex, uuid7().hex
    journal = Journal(folder, run=run, slot=0, boot=boot, durability="commit", first=lambda: Booted(run, 0, boot, time.time_ns() // 1000))
    key = uuid7().hex
    row = ExchangeRow(key, 1, "openai.chat", "openai", "chat", wire.PATH, "coder", input_preview="asked " * 30)
    found = []
    for together in (1, 64):
        spent, records = 0, 0
        until = time.monotonic() + max(0.2, 4 * budget)
        while time.monotonic() < until:
            began = time.process_time_ns()
            await asyncio.gather(*(journal.append(Ended(row)) for _ in range(together)))
            spent, records = spent + time.process_time_ns() - began, records + together
        found.append(Part("journal, a record", f"{together} at a time", spent / records / 1000))
    await journal.close()
    return found


GROUPS: dict[str, Callable[[float], Iterator[Part]]] = {
    "decode": decoding,
    "judge": judging,
    "words": words,
    "answer": answering,
    "journal": writing,
}


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.parts", description="What the parts of a request cost alone.")
    asked.add_argument("groups", nargs="*", metavar="GROUP", help=f"which, of {', '.join(GROUPS)} (default: all)")
    asked.add_argument("--seconds", type=float, default=0.5, help="of CPU for each line (default 0.5)")
    asked.add_argument("--json", action="store_true", help="print JSON")
    given = asked.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        asked.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    environment = report.environment()
    parts = [part for name in given.groups or GROUPS for part in GROUPS[name](given.seconds)]
    environment["load_after"] = round(os.getloadavg()[0], 2)
    if given.json:
        report.write(json.dumps({"environment": environment, "parts": [part._asdict() for part in parts]}))
    else:
        report.write(f"{report.machine(environment)}\n\n{report.table(('part', 'of', 'CPU µs'), parts)}")


if __name__ == "__main__":
    main()
