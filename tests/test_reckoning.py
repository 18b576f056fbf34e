"""What a request takes, at the most and about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.answer import READ_TOKENS, WRITTEN_TOKENS, Usage
from gateway.reckoning import (
    BYTES_PER_TOKEN,
    PER_MESSAGE,
    PER_TOOLS,
    TOKENS_PER_S,
    Heard,
    guess,
    most_read,
    most_written,
)
from gateway.request import Media, Message, Request, ServerTool, Tool

PLAIN = Request("openai.chat", "m", stream=True, messages=(), tools=(), body=b"x" * 300)
SEARCHES = replace(PLAIN, server_tools=(ServerTool("openai.web_search", "tools[0].type=web_search"),))
counts = st.none() | st.integers(0, 10**6)
usages = st.builds(Usage, input=counts, cache_read=counts, cache_write=counts, output=counts, reasoning=counts)
heards = st.builds(Heard, told=st.none() | usages, said=st.integers(0, 10**6), seconds=st.floats(0, 10**4))


def test_each_byte_is_a_token_at_the_most_and_never_more_than_the_model_reads():
    assert most_read(PLAIN, None) == 300 + PER_MESSAGE
    assert most_read(replace(PLAIN, tools=(Tool("get", "function", b"{}"),)), None) == 300 + PER_MESSAGE + PER_TOOLS
    assert most_read(PLAIN, 100) == 100


@pytest.mark.parametrize("reads", [None, 5000])
def test_what_the_provider_adds_is_bounded_by_the_model_alone(reads):
    assert most_read(SEARCHES, reads) == reads
    seen = Message("user", b"{}", text="", media=(Media("image", "messages[0].content[0]", url="https://example.com/a.png"),))
    assert most_read(replace(PLAIN, messages=(seen,)), reads) == reads


def test_as_much_is_written_as_is_asked_for_and_as_the_model_can_for_each_choice():
    asked = replace(PLAIN, max_tokens=10, choices=3)
    assert [most_written(asked, writes) for writes in (None, 4, 40)] == [30, 12, 30]
    assert [most_written(PLAIN, writes) for writes in (None, 4)] == [None, 4]
    assert most_written(replace(PLAIN, max_tokens=-1), None) is None
    assert most_written(replace(PLAIN, operation="embeddings"), None) == 0


def test_what_the_provider_told_stands_and_the_rest_is_made_of_bytes():
    told = Usage(input=7, cache_read=90, output=1)
    found = guess(PLAIN, Heard(told, said=30, seconds=0.01), None, None)
    assert (found.usage, found.how) == (
        Usage(input=7, cache_read=90, output=10), "read 97: told by the provider; written 10: 30 bytes of answer"
    )
    found = guess(PLAIN, Heard(None, said=0, seconds=0), None, None)
    assert (found.usage, found.how) == (Usage(input=100, output=0), "read 100: 300 bytes of request; written 0: told by the provider")


def test_of_all_that_is_known_of_what_was_written_the_most_counts():
    told = Usage(input=1, output=50, reasoning=20)
    ways = [(told, 30, 0.01), (told, 900, 0.01), (told, 30, 9.0)]
    found = [guess(PLAIN, Heard(*way), None, None) for way in ways]
    assert [each.usage.output for each in found] == [70, 900 // BYTES_PER_TOKEN, 9 * TOKENS_PER_S]
    assert [each.usage.reasoning for each in found] == [None] * 3
    assert found[2].how.endswith("written 900: 9.0 s of writing")


def test_what_cannot_be_counted_is_all_that_the_model_reads():
    nothing = Heard(None, 0, 0)
    assert guess(SEARCHES, nothing, 5000, None).usage.input == 5000
    assert guess(SEARCHES, nothing, None, None).usage.input == 100
    assert guess(replace(PLAIN, messages=(), body=b"x" * 9000), nothing, 1000, None).usage.input == 1000


@given(heards, counts, counts, st.integers(0, 10**5), st.integers(1, 5))
def test_a_guess_is_whole_and_never_more_than_what_was_reserved(heard, reads, writes, length, choices):
    request = replace(PLAIN, body=b"x" * length, max_tokens=100, choices=choices)
    found = guess(request, heard, reads, writes)
    written = sum(getattr(found.usage, name) or 0 for name in WRITTEN_TOKENS)
    assert written <= most_written(request, writes)
    if heard.told is None or heard.told.input is None:
        assert sum(getattr(found.usage, name) or 0 for name in READ_TOKENS) <= most_read(request, reads)
    assert None not in (found.usage.input, found.usage.output)
