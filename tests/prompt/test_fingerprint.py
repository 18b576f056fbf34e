"""The version of a found prompt."""

from __future__ import annotations

import json
import uuid

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.prompt.fingerprint import canonical, exact_hash, fingerprint
from gateway.prompt.masking import SECTION, masked
from gateway.recent import LARGEST
from gateway.request import Message, Request, Tool


def request(system: str = "You pay bills.", tools: tuple[bytes, ...] = (), user: str = "hi") -> Request:
    messages = (Message("system", system.encode(), system), Message("user", user.encode(), user))
    return Request(
        "d", "m", stream=False, messages=messages, tools=tuple(Tool("t", "function", raw) for raw in tools), body=b""
    )


def test_the_same_prompt_has_the_same_version_whatever_the_user_says():
    assert fingerprint(request(user="a")) == fingerprint(request(user="b"))


def test_another_system_prompt_is_another_version():
    assert fingerprint(request("a")).hash != fingerprint(request("b")).hash


def test_key_order_and_white_space_of_a_tool_make_no_new_version():
    one, two = b'{"name":"t","strict":true}', b'{ "strict" : true, "name":"t" }'
    assert fingerprint(request(tools=(one,))) == fingerprint(request(tools=(two,)))


def test_a_changed_description_and_another_order_are_new_versions():
    a, b, changed = b'{"name":"a","d":"1"}', b'{"name":"b"}', b'{"name":"a","d":"2"}'
    versions = {fingerprint(request(tools=tools)).hash for tools in ((a, b), (b, a), (changed, b), (a,))}
    assert len(versions) == 4


def test_text_cannot_slip_from_the_system_prompt_into_the_tools():
    assert fingerprint(request("x[", ())).hash != fingerprint(request("x", (b'"["',))).hash


def test_the_texts_are_kept_for_reading():
    found = fingerprint(request("You pay.", (b'{"name":"t"}',)))
    assert found.system == "You pay."
    assert json.loads(found.tools) == [{"name": "t"}]


def test_requests_that_differ_by_a_date_have_one_template_and_two_versions():
    one, two = (fingerprint(request(f"You pay bills. Today is 2026-11-{day}.")) for day in (21, 22))
    assert one.hash != two.hash
    assert one.template == two.template == fingerprint(request("You pay bills. Today is 2026-11-21.")).template


def test_another_instruction_and_another_tool_are_another_template():
    versions = (request("a"), request("b"), request("a", (b'{"name":"t"}',)), request("a", (b'{"name":"t","d":"2026-11-21"}',)))
    assert len({fingerprint(each).template for each in versions}) == 4


WORDS = st.sampled_from(["pay", "nobody", "refunds", "under", "12", "EUR", "ask", "Anna", "first.", "Never", "a bill;", "(now)", "1.5"])
KINDS = [
    st.datetimes().map(lambda at: at.replace(year=2026).strftime("%Y-%m-%dT%H:%M:%S")),
    st.dates().map(lambda day: day.replace(year=2026, day=11).strftime("%B %d, %Y")),
    st.integers(0, 2**128 - 1).map(lambda number: str(uuid.UUID(int=number))),
    st.sampled_from(["/home/ann/shop", "/home/bob/shop", "/home/x-y.z/shop"]),
]
"""What another request says otherwise anyway: a moment, a day, an id, a folder."""
HOLE = object()


@st.composite
def frames(draw, holes=True):
    """A text as a list of words with places to fill, some with line ends and some of more than a section."""
    words = draw(st.lists(WORDS, min_size=1, max_size=12)) * draw(st.sampled_from([1, 1, 40]))
    ends = draw(st.sampled_from([" ", "\n", ". "]))
    parts = [part for word in words for part in (word, ends)]
    for _ in range(draw(st.integers(1, 3)) if holes else 0):
        parts.insert(2 * draw(st.integers(0, len(words))), HOLE)
    return parts


def filled(parts, value) -> str:
    return " ".join(value if part is HOLE else part for part in parts)


@given(frames(), st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(kind, kind)))
def test_texts_of_one_template_have_one_whatever_was_filled_in(parts, values):
    one, two = (fingerprint(request(filled(parts, each))) for each in values)
    assert one.template == two.template
    assert (one.hash == two.hash) == (values[0] == values[1])


@given(frames(), st.one_of(KINDS), st.data())
def test_any_other_change_of_the_text_is_another_template(parts, value, data):
    at = data.draw(st.sampled_from([at for at, part in enumerate(parts) if part is not HOLE]))
    other = data.draw(WORDS)
    assume(parts[at].strip() and other != parts[at])
    changed = [*parts[:at], other, *parts[at + 1 :]]
    assert fingerprint(request(filled(parts, value))).template != fingerprint(request(filled(changed, value))).template


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
DECLARED = st.lists(st.dictionaries(st.text(max_size=6), JSON, min_size=1, max_size=3), max_size=3)


def declared(tools) -> tuple[bytes, ...]:
    return tuple(json.dumps(each).encode() for each in tools)


@given(frames(holes=False), frames(holes=False), DECLARED, DECLARED)
def test_one_version_and_one_template_mean_one_text_and_the_same_tools(text, other_text, tools, other_tools):
    one, two = filled(text, ""), filled(other_text, "")
    a, b = (fingerprint(request(said, declared(had))) for said, had in ((one, tools), (two, other_tools)))
    alike = one == two and json.dumps(tools, sort_keys=True) == json.dumps(other_tools, sort_keys=True)
    assert (a.hash == b.hash) == alike
    assert (a.template == b.template) == alike


@given(st.text(max_size=3 * SECTION), DECLARED)
def test_a_template_is_the_hash_of_the_masked_text_however_it_was_come_by(text, tools):
    raw = declared(tools)
    array = b"[" + b",".join(map(canonical, raw)) + b"]"
    first, again = fingerprint(request(text, raw)), fingerprint(request(text, raw))
    assert first == again
    assert (first.hash, first.template) == (exact_hash(text, array), exact_hash(masked(text), array))


def test_a_prompt_too_long_to_be_kept_has_a_version_and_a_template_as_any_other():
    long = "Pay nobody. " * (LARGEST // 8)
    one, two = (fingerprint(request(f"{long}Today is 2026-11-{day}.", (b'{"name":"%s"}' % (b"t" * LARGEST),))) for day in (21, 22))
    assert one.template == two.template != fingerprint(request(f"{long}Today is 2026-11-21.")).template
    assert one.hash != two.hash


def test_a_server_is_the_same_whatever_token_it_is_shown_and_one_of_an_odd_form_is_itself():
    def reached(token):
        return b'{"mcpServers":[{"name":"a","ways":{"headers":{"Authorization":"%s"},"url":"u"}}, "odd"]}' % token

    assert canonical(reached(b"one")) == canonical(reached(b"two"))
    assert b'"odd"' in canonical(reached(b"one"))
    assert canonical(b'{"mcpServers":["odd"]}') != canonical(b'{"mcpServers":["other"]}')
