"""The hold, with scripted events: no dialect, no policy, no socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answer import Answer
from gateway.dialects.events import UNTOLD, Broken, Ended, Event, Forward, Held, Hidden, Proposed
from gateway.errors import GatewayError
from gateway.holdback import Break, Finishing, Judge, Judging, Observing, Send, Undecodable
from gateway.verdict import Call


def call(index: int = 0, choice: int = 0) -> Call:
    return Call(f"c{index}", f"tool{index}", "{}", {}, index, choice=choice)


class Scripted:
    """A stream whose chunks are names of scripted events."""

    def __init__(self, script: dict[bytes, list[Event]], at_end: list[Event] | None = None) -> None:
        self._script, self._at_end = script, at_end or []
        self.answer, self.findings = Answer(), []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        yield from self._script[chunk]

    def close(self) -> Iterator[Event]:
        yield from self._at_end

    def release(self, released: Call) -> bytes:
        return b"<call %d>" % released.index

    def explain(self, withheld: Call, text: str) -> bytes:
        return b"<no %d: %s>" % (withheld.index, text.encode())

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        return b"<end %d +%d -%d>" % (event.choice, released, withheld)

    def error(self, error: GatewayError) -> bytes:
        return b"<error>"


def test_what_was_judged_in_the_place_of_a_call_is_what_is_released():
    hold = Judging(Scripted({b"1": [Proposed(call(0)), Proposed(call(1))]}))
    out = b""
    for step in hold.feed(b"1"):
        if isinstance(step, Judge):
            edited = call(7) if step.call.index == 0 else None
            hold.settle(released=True, text="", edited=edited)
        else:
            out += step.data
    assert out == b"<call 7><call 1>"


def run(hold, *chunks: bytes, release=lambda c: True):
    """(delivered bytes, the other steps)."""
    out, others = b"", []
    for chunk in (*chunks, None):
        for step in hold.close() if chunk is None else hold.feed(chunk):
            if isinstance(step, Send):
                out += step.data
                continue
            others.append(step)
            if isinstance(step, Judge):
                hold.settle(released=release(step.call), text="denied")
    return out, others


def test_text_leaves_at_once_and_a_stripped_frame_leaves_stripped():
    hold = Judging(Scripted({b"a": [Forward(b"raw")], b"b": [Forward(b"raw", b"clean")]}))
    assert run(hold, b"a", b"b")[0] == b"rawclean"


def test_a_released_call_leaves_as_it_was_judged_and_only_after_its_verdict():
    hold = Judging(Scripted({b"a": [Held(b"upstream bytes")], b"b": [Held(b"more"), Proposed(call())]}))
    assert list(hold.feed(b"a")) == []
    steps = hold.feed(b"b")
    assert next(steps) == Judge(call())
    hold.settle(released=True, text="")
    assert list(steps) == [Send(b"<call 0>")]


def test_a_withheld_call_is_replaced_and_the_end_says_what_was_delivered():
    script = {b"a": [Held(b"x"), Proposed(call(0), more=True), Proposed(call(1)), Ended(b"raw end")]}
    out, steps = run(Judging(Scripted(script)), b"a", release=lambda c: c.index == 1)
    assert out == b"<no 0: denied><call 1><end 0 +1 -1>"
    assert [type(s) for s in steps] == [Judge, Judge, Finishing]


def test_choices_are_counted_apart():
    script = {b"a": [Proposed(call(0, choice=0)), Proposed(call(1, choice=1)), Ended(b"", 0), Ended(b"", 1)]}
    out, _ = run(Judging(Scripted(script)), b"a", release=lambda c: c.choice == 1)
    assert out == b"<no 0: denied><call 1><end 0 +0 -1><end 1 +1 -0>"


@pytest.mark.parametrize("hold", [Judging, Observing])
def test_the_answer_finishes_with_its_last_choice(hold):
    script = {b"a": [Ended(b"", 0, last=False), Forward(b"t")], b"b": [Ended(b"", 1)]}
    steps = [type(step) for chunk in (b"a", b"b") for step in hold(Scripted(script)).feed(chunk)]
    assert steps.count(Finishing) == 1
    assert steps.index(Finishing) > 1


def test_a_hidden_frame_never_leaves():
    script = {b"a": [Hidden(b"usage"), Forward(b"x")]}
    assert run(Judging(Scripted(script)), b"a")[0] == b"x"
    observing = Observing(Scripted({b"usagex": [Hidden(b"usage"), Forward(b"x")]}))
    assert run(observing, b"usagex")[0] == b"x"


def test_after_a_break_nothing_leaves_any_more():
    broken = Broken("protocol", "nonsense")
    hold = Judging(Scripted({b"a": [Forward(b"t"), broken, Forward(b"never")], b"b": [Forward(b"never")]}))
    out, steps = run(hold, b"a", b"b")
    assert out == b"t"
    assert steps == [Break(broken)]


def test_stepping_over_a_call_without_a_verdict_is_a_mistake_not_a_release():
    steps = Judging(Scripted({b"a": [Proposed(call())]})).feed(b"a")
    next(steps)
    with pytest.raises(RuntimeError):
        next(steps)


def test_observing_every_byte_leaves_in_order_behind_the_record():
    script = {
        b"t1": [Forward(b"t1", b"clean")],
        b"h1": [Held(b"h1")],
        b"t2h2": [Forward(b"t2"), Held(b"h2")],
        b"e": [Proposed(call(0), more=True), Proposed(call(1)), Ended(b"e")],
    }
    hold = Observing(Scripted(script))
    assert list(hold.feed(b"t1")) == [Send(b"t1")]
    assert list(hold.feed(b"h1")) == []
    assert list(hold.feed(b"t2h2")) == []
    assert list(hold.feed(b"e")) == [Judge(call(0)), Judge(call(1)), Send(b"h1t2h2"), Finishing(), Send(b"e", UNTOLD)]
    assert list(hold.close()) == []


def test_observing_a_stream_that_cannot_be_decoded_is_passed_on_and_says_so():
    broken = Broken("protocol", "nonsense")
    hold = Observing(Scripted({b"ab": [Held(b"a")], b"cd": [broken], b"ef": []}))
    out, steps = run(hold, b"ab", b"cd", b"ef")
    assert out == b"abcdef"
    assert steps == [Undecodable(broken)]


def test_an_observer_gives_up_decoding_before_it_keeps_too_much_back():
    script = {b"%06d" % n: [Held(b"%06d" % n)] for n in range(30)} | {b"last": [Proposed(call()), Forward(b"last")]}
    hold = Observing(Scripted(script), most=100)
    out, others, kept = b"", [], 0
    for chunk in script:
        for step in hold.feed(chunk):
            if isinstance(step, Send):
                out += step.data
            else:
                others.append(step)
        kept = max(kept, sum(map(len, list(script)[: list(script).index(chunk) + 1])) - len(out))
    assert out == b"".join(script)
    assert [type(step) for step in others] == [Undecodable]
    assert others[0].broken.code == "hold_limit"
    assert kept <= 100


def test_observing_what_no_event_covered_leaves_at_the_end():
    hold = Observing(Scripted({b"ab": [Forward(b"a")]}))
    assert run(hold, b"ab")[0] == b"ab"


EVENTS = st.sampled_from("fhpe")


@given(st.lists(EVENTS, max_size=30))
def test_observing_changes_no_byte_whatever_comes(kinds):
    makers = {
        "f": lambda n: Forward(n, b"other"),
        "h": Held,
        "p": lambda n: Proposed(call()),
        "e": Ended,
    }
    script, wire = {}, b""
    for number, kind in enumerate(kinds):
        raw = b"%d;" % number if kind != "p" else b""
        event = makers[kind](raw)
        script.setdefault(b"%d;" % number, []).append(event)
    hold = Observing(Scripted(dict(script)))
    out = b""
    for number, kind in enumerate(kinds):
        chunk = b"%d;" % number
        if kind == "p":
            hold._stream._script[b""] = [Proposed(call())]
            chunk = b""
        wire += chunk
        for step in hold.feed(chunk):
            if isinstance(step, Send):
                out += step.data
    out += b"".join(s.data for s in hold.close() if isinstance(s, Send))
    assert out == wire
