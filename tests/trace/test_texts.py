"""Which texts this journal stream has written already, and how they are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.answer import Answer
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Request, Tool
from gateway.trace.texts import Seen
from tests.trace.exchanges import DENY, call, exchange, message, request, scribe


def test_each_body_is_written_once_and_addressed_always():
    writer = scribe()
    first = request(message("system", "be"), message("user", "hi"))
    addresses, rows = writer.texts.request_messages(exchange(request=first), 7)
    assert [row.role for row in rows] == ["system", "user"]
    later = request(*first.messages, message("user", "more"))
    again, new = writer.texts.request_messages(exchange(request=later), 8)
    assert again[:2] == addresses
    assert [row.body for row in new] == ['{"role":"user","content":"more"}']


def test_a_forgotten_prompt_text_is_written_again():
    writer = scribe()
    found = fingerprint(request(message("system", "be kind")))
    x = exchange(prompt_hash=found.hash)
    writer.texts.prompt(x, found, 1)
    writer.texts.forget(exchange(), [])
    assert writer.texts.prompt(x, found, 2).system == ""
    writer.texts.forget(x, [])
    assert writer.texts.prompt(x, found, 3).system == "be kind"


def test_forgotten_bodies_are_written_again():
    writer = scribe()
    addresses, _ = writer.texts.request_messages(exchange(request=request(message("user", "hi"))), 7)
    writer.texts.seen.forget([*addresses, "never seen"])
    assert len(writer.texts.request_messages(exchange(request=request(message("user", "hi"))), 8)[1]) == 1


def test_the_answer_keeps_withheld_calls_for_the_record():
    x = exchange(calls=[(call(), DENY)])
    address, rows = scribe().texts.response_message(x, 3)
    assert address == rows[0].hash
    assert '"released":false' in rows[0].body


def test_an_answer_of_nothing_has_no_message_and_an_equal_one_is_written_once():
    writer = scribe()
    assert writer.texts.response_message(exchange(), 1) == (None, ())
    x = exchange(answer=Answer(text="hi"))
    first, rows = writer.texts.response_message(x, 1)
    assert len(rows) == 1
    assert writer.texts.response_message(x, 2) == (first, ())


def test_the_text_of_a_prompt_version_is_written_once():
    writer = scribe()
    found = fingerprint(request(message("system", "be kind")))
    assert writer.texts.prompt(exchange(), found, 1).system == "be kind"
    assert writer.texts.prompt(exchange(), found, 2).system == ""


def test_names_of_tools_are_found_whatever_the_dialect_declares():
    tools = ('{"name":"a"}', '{"type":"web_search"}', '{"type":"custom","custom":{"name":"b"}}', '{"function":{"name":"c"}}', '{"name":7}')
    declared = tuple(Tool("x", "function", tool.encode()) for tool in tools)
    found = fingerprint(Request("openai.chat", "m", False, (), declared, b""))
    named = scribe().texts.prompt(exchange(storing="metadata"), found, 1).tools
    assert named == '[{"name":"a"},{"name":"web_search"},{"name":"b"},{"name":"c"}]'
    assert scribe().texts.prompt(exchange(storing="metadata"), fingerprint(request()), 1).tools == '[{"name":"t"}]'
    nothing = fingerprint(Request("openai.chat", "m", False, (), (), b""))
    assert scribe().texts.prompt(exchange(storing="metadata"), nothing, 1).tools == ""


def test_bodies_are_written_again_when_a_segment_begins():
    seen = Seen()
    assert [seen.first("a"), seen.first("a")] == [True, False]
    seen.begin_anew()
    assert [seen.first("a"), seen.first("b"), seen.first("a")] == [True, True, False]


def test_the_memory_of_written_bodies_is_bounded():
    seen = Seen(4)
    assert [seen.first(a) for a in ("a", "b", "a", "c", "a", "b")] == [True, True, False, True, False, True]
    assert sum(seen.first(f"{n}") for n in range(1000)) == 1000
    assert len(seen._young) + len(seen._old) <= 4


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=20), st.integers(1, 8))
def test_several_bodies_are_remembered_as_one_after_the_other(asked, size):
    one, several = Seen(size), Seen(size)
    for addresses in asked:
        assert several.firsts(addresses) == {each for each in addresses if one.first(each)}
