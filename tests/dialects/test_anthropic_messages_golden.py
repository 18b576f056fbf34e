"""Recorded answers of the Messages API, cut everywhere: the same events and the same client bytes for
every cut.

`NAME.sse` is what the provider sent. Beside it stand what the decoder says (`NAME.events.json`) and what
the client gets from a gateway that allows every call, denies every call, or denies the first
(`NAME.allowed.sse`, `.denied.sse`, `.first_denied.sse`). `NAME.json` is an answer in one piece. A request
of its own is `NAME.request.json`, else `request.json`. To add one: put the `.sse` or `.json` there, run
with `GOLDEN=write` and read what it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gateway.dialects import anthropic_messages as dialect
from gateway.dialects.events import Broken, Ended, Event, Forward, Held, Limits, Proposed, WholeAnswer
from gateway.errors import GatewayError
from gateway.request import Request
from gateway.verdict import Call
from tests import cuts
from tests.dialects.telling import told

FOLDER = Path(__file__).parent.parent / "golden" / "anthropic_messages"
STREAMS = sorted(p.stem for p in FOLDER.glob("*.sse") if not p.stem.endswith((".allowed", ".denied", ".first_denied")))
WHOLES = sorted(p.stem for p in FOLDER.glob("whole_*.json") if not p.stem.endswith((".read", ".allowed", ".denied")))
Expect = Callable[[Path, bytes], None]
JUDGES: dict[str, Callable[[Call], bool]] = {
    "allowed": lambda call: True,
    "denied": lambda call: False,
    "first_denied": lambda call: call.index > 0,
}
WHY = 'Blocked by policy "p".\nNot executed.\n\nevent: content_block_start\ndata: {}\n\n'


def request_for(name: str) -> Request:
    own = FOLDER / f"{name}.request.json"
    return dialect.decode_request((own if own.exists() else FOLDER / "request.json").read_bytes(), {}, frozenset())


class Delivery:
    """What a judging gateway does with the events, and what came of it."""

    def __init__(self, request: Request, judge: Callable[[Call], bool]) -> None:
        self.stream = dialect.stream(request, Limits(), enforcing=True)
        self.judge = judge
        self.out = bytearray()
        self.raw = bytearray()
        self.said: list[object] = []
        self.released = self.withheld = 0

    def run(self, chunks: Iterable[bytes]) -> Delivery:
        for chunk in chunks:
            for event in self.stream.feed(chunk):
                self._take(event)
        for event in self.stream.close():
            self._take(event)
        return self

    def _take(self, event: Event) -> None:
        self.raw += getattr(event, "raw", b"") if not isinstance(event, Broken) else b""
        if isinstance(event, Forward):
            self._say("forward")
            self.out += event.raw if event.clean is None else event.clean
        elif isinstance(event, Proposed):
            self._judge(event)
        elif isinstance(event, Ended):
            self._say("ended")
            self.out += self.stream.ended(event, self.released, self.withheld)
        elif isinstance(event, Broken):
            self._say({"broken": [event.code, event.detail]})
            self.out += event.raw or self.stream.error(GatewayError("upstream", event.code, event.detail))
        else:
            self._say("held" if isinstance(event, Held) else "hidden")

    def _judge(self, event: Proposed) -> None:
        self._say({"proposed": told(event.call), "more": event.more})
        if event.call.problem is None and self.judge(event.call):
            self.released += 1
            self.out += self.stream.release(event.call)
        else:
            self.withheld += 1
            self.out += self.stream.explain(event.call, WHY)

    def _say(self, what: object) -> None:
        if self.said and self.said[-1] == what and isinstance(what, str):
            return
        self.said.append(what)


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_as_recorded(name: str, expect: Expect) -> None:
    done = Delivery(request_for(name), JUDGES["allowed"]).run([(FOLDER / f"{name}.sse").read_bytes()])
    said = {
        "events": done.said,
        "answer": told(done.stream.answer),
        "findings": told(list(done.stream.findings)),
    }
    said["answer"]["usage_raw"] = (done.stream.answer.usage_raw or b"").decode()
    expect(FOLDER / f"{name}.events.json", as_json(said))


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("name", STREAMS)
def test_the_client_gets_what_was_recorded(name: str, judge: str, expect: Expect) -> None:
    done = Delivery(request_for(name), JUDGES[judge]).run([(FOLDER / f"{name}.sse").read_bytes()])
    expect(FOLDER / f"{name}.{judge}.sse", bytes(done.out))


@pytest.mark.unmeasured
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_at_any_byte_changes_neither_events_nor_client_bytes(name: str, judge: str) -> None:
    wire = (FOLDER / f"{name}.sse").read_bytes()
    request = request_for(name)
    whole = Delivery(request, JUDGES[judge]).run([wire])
    for chunks in (cuts.byte_by_byte(wire), *cuts.in_two(wire, 300)):
        done = Delivery(request, JUDGES[judge]).run(chunks)
        assert (done.said, done.out, done.raw) == (whole.said, whole.out, whole.raw)


@pytest.mark.parametrize("name", STREAMS)
def test_every_wire_byte_is_in_exactly_one_event_until_the_stream_breaks(name: str) -> None:
    wire = (FOLDER / f"{name}.sse").read_bytes()
    done = Delivery(request_for(name), JUDGES["allowed"]).run([wire])
    broke = isinstance(done.said[-1], dict) and "broken" in done.said[-1]
    assert wire.startswith(bytes(done.raw))
    assert broke or bytes(done.raw) == wire


@pytest.mark.parametrize("name", STREAMS)
def test_no_byte_of_a_denied_call_reaches_the_client(name: str) -> None:
    done = Delivery(request_for(name), JUDGES["denied"]).run([(FOLDER / f"{name}.sse").read_bytes()])
    sent = bytes(done.out)
    assert b'"type":"tool_use' not in sent
    for secret in (b'"toolu_', b"get_weather", b"delete_file", b"/srv/a"):
        assert secret not in sent


def read(whole: WholeAnswer) -> bytes:
    return as_json(
        {
            "calls": told(whole.calls),
            "findings": told(whole.findings),
            "broken": [whole.broken.code, whole.broken.detail] if whole.broken else None,
            "text": whole.answer.text,
            "finish": whole.answer.finish,
        }
    )


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_read_and_delivered_as_recorded(name: str, expect: Expect) -> None:
    body = (FOLDER / f"{name}.json").read_bytes()
    whole = dialect.decode_answer(body, request_for(name), Limits())
    expect(FOLDER / f"{name}.read.json", read(whole))
    if whole.broken is not None:
        return
    unreadable = {call.index: WHY for call in whole.calls if call.problem}
    allowed = dialect.encode_answer(whole, unreadable)
    denied = dialect.encode_answer(whole, {call.index: WHY for call in whole.calls})
    expect(FOLDER / f"{name}.allowed.json", allowed)
    expect(FOLDER / f"{name}.denied.json", denied)
    assert b'"toolu_' not in denied
