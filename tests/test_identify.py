"""Who asks: keys and sessions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import identify
from gateway.errors import GatewayError
from gateway.exchange import Caller
from gateway.request import Message, Request

KEY = "th_abcdefgh_" + "A" * 43
OTHER = "th_zzzzzzzz_" + "B" * 43


def request(*messages: Message, session_hint: str | None = None) -> Request:
    return Request("openai.chat", "m", stream=False, messages=messages, tools=(), body=b"", session_hint=session_hint)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("authorization", f"Bearer {KEY}")], ""),
        ([("authorization", f"bearer  {KEY} ")], ""),
        ([("x-api-key", KEY)], ""),
        ([("x-goog-api-key", KEY)], ""),
        ([], f"key={KEY}&beta=true"),
        ([("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)], ""),
    ],
)
def test_the_key_is_found_wherever_an_sdk_puts_it(headers, query):
    assert identify.presented_key(headers, query, "gcp.gemini") == KEY


def test_no_key_is_none():
    assert identify.presented_key([("accept", "*/*"), ("authorization", "Bearer ")], "beta=true", "openai") is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("authorization", f"Bearer {KEY}"), ("x-api-key", OTHER)], ""),
        ([("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")], ""),
        ([("authorization", f"Bearer {KEY}"), ("authorization", "Basic abc")], ""),
        ([("x-api-key", KEY), ("x-api-key", "")], ""),
        ([], f"key={KEY}&key={KEY}"),
        ([("x-goog-api-key", KEY)], f"%6bey={OTHER}"),
    ],
)
def test_two_keys_are_refused_not_chosen_between(headers, query):
    with pytest.raises(GatewayError) as caught:
        identify.presented_key(headers, query, "gcp.gemini")
    assert (caught.value.kind, caught.value.code) == ("bad_request", "ambiguous_key")


def test_another_authorization_scheme_is_refused_with_the_form_wanted():
    with pytest.raises(GatewayError, match="Bearer <key>") as caught:
        identify.presented_key([("authorization", "Basic abc")], "", "openai")
    assert caught.value.kind == "authentication"


def test_a_key_in_a_url_is_refused_where_no_client_puts_one():
    with pytest.raises(GatewayError) as caught:
        identify.presented_key([], f"beta=true&key={KEY}", "openai")
    assert (caught.value.kind, caught.value.code) == ("bad_request", "key_in_query")


@given(st.integers(min_value=0, max_value=62**43 - 1))
def test_base62_keeps_the_number(number):
    text = identify.base62(number, 43)
    assert len(text) == 43
    assert sum(identify.ALPHABET.index(c) * 62**i for i, c in enumerate(reversed(text))) == number


def test_a_well_formed_key_splits_and_others_do_not():
    assert identify.split_key(KEY) == ("abcdefgh", "A" * 43)
    for bad in ("", "sk-abc", KEY[:-1], KEY + "A", KEY.replace("A", "-", 1), " " + KEY):
        assert identify.split_key(bad) is None


def test_the_stored_hash_depends_on_pepper_and_secret():
    hashes = {identify.key_hash(p, s) for p in (b"1" * 32, b"2" * 32) for s in ("a", "b")}
    assert len(hashes) == 4


@given(st.text(max_size=500))
def test_a_label_holds_no_control_characters_and_is_short(text):
    found = identify.label(text)
    assert len(found) <= 200
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202a\u202e\u2066" for c in found)


@pytest.mark.parametrize("name", identify.SESSION_HEADERS)
def test_a_session_header_names_the_session(name):
    assert identify.session({name: "s1"}, request(), None) == ("s1", name)


def test_the_body_names_the_session_when_no_header_does():
    assert identify.session({}, request(session_hint="abc"), "k") == ("abc", "metadata")


def test_without_a_request_there_is_no_session():
    assert identify.session({}, None, "k") == ("", "")


def conversation(*texts: tuple[str, str]) -> Request:
    return request(*(Message(role, text.encode(), text) for role, text in texts))


def test_a_derived_session_lasts_as_long_as_the_conversation():
    first = conversation(("system", "you are"), ("user", "pay"))
    later = conversation(("system", "you are"), ("user", "pay"), ("assistant", "ok"), ("user", "again"))
    assert identify.session({}, first, "k") == identify.session({}, later, "k")
    assert identify.session({}, first, "k")[1] == "derived"


def test_a_derived_session_differs_by_key_system_prompt_and_first_words():
    base = conversation(("system", "a"), ("user", "b"))
    sessions = {
        identify.session({}, base, "k")[0],
        identify.session({}, base, "other")[0],
        identify.session({}, conversation(("system", "x"), ("user", "b")), "k")[0],
        identify.session({}, conversation(("system", "a"), ("user", "x")), "k")[0],
    }
    assert len(sessions) == 4


def test_a_conversation_without_a_user_still_has_a_session():
    assert identify.session({}, conversation(("system", "a")), "k")[0] != identify.session({}, conversation(("system", "b")), "k")[0]


def test_what_is_kept_belongs_to_agent_team_user_and_organisation_and_not_to_one_key():
    first, second = Caller("bot", "k1", "team", "ann"), Caller("bot", "k2", "team", "ann", session="s")
    assert identify.owner(first) == identify.owner(second)
    others = (Caller("bot", "k1", "team", "bob"), Caller("bot", "k1", "other", "ann"), Caller("bo", "k1", "team", "ann"), Caller("bot"))
    others = (*others, Caller("bot", "k1", "team", "ann", org="acme"), Caller("bot", "k1", "team", "ann", org="zeta"))
    assert len({identify.owner(each) for each in (first, *others)}) == 1 + len(others)


ONE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("value", "flags"),
    [(f"00-{ONE}-b7ad6b7169203331-01", 1), (f" 00-{ONE}-b7ad6b7169203331-00\t", 0), (f"cc-{ONE}-b7ad6b7169203331-09", 9),
     (f"cc-{ONE}-b7ad6b7169203331-01-what-the-future-holds", 1)],
)  # fmt: skip
def test_a_traceparent_names_trace_and_span(value, flags):
    found = identify.trace_parent([("host", "h"), ("traceparent", value)])
    assert (found.trace_id, found.span_id, found.flags, found.state) == (ONE, "b7ad6b7169203331", flags, "")
    assert found.sampled is bool(flags & 1)


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (["a=1"], "a=1"),
        (["a=1,b@t=2", " c=3 , ,"], "a=1,b@t=2,c=3"),
        ([], ""),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["a=1,b"], ""),
        (["a=1\x01"], ""),
        ([",".join(f"k{n}=v" for n in range(33))], ""),
        ([",".join(f"k{n}=v" for n in range(32))], ",".join(f"k{n}=v" for n in range(32))),
        (["a=" + "x" * 3000], ""),
    ],
)
def test_a_tracestate_is_handed_on_in_its_form_or_not_at_all(states, kept):
    headers = [("traceparent", f"00-{ONE}-b7ad6b7169203331-01"), *(("tracestate", state) for state in states)]
    assert identify.trace_parent(headers).state == kept


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["00"],
        [f"00-{ONE}-b7ad6b7169203331-01"] * 2,
        [f"ff-{ONE}-b7ad6b7169203331-01"],
        [f"00-{'0' * 32}-b7ad6b7169203331-01"],
        [f"00-{ONE}-{'0' * 16}-01"],
        [f"00-{ONE.upper()}-b7ad6b7169203331-01"],
        [f"00-{ONE}-b7ad6b7169203331-01-more"],
        [f"00-{ONE[:-1]}-b7ad6b7169203331-01"],
        [f"00-{ONE}-b7ad6b7169203331-01\n"],
        ["x" * 10_240],
    ],
)
def test_a_traceparent_of_another_form_names_none(values):
    assert identify.trace_parent([("traceparent", value) for value in values]) is None


SECRET = "0" * 43


ELSE = ["", "thp_", f"th_00000000_{SECRET}", f"thp_th_00000000_{SECRET}", f"thp_0_{SECRET}", f"xthp_00000000_{SECRET}"]


@pytest.mark.parametrize("token", ELSE)
def test_a_token_of_another_kind_or_form_does_not_split(token):
    assert identify.split_token("thp", token) is None


def test_a_token_of_its_kind_splits():
    assert identify.split_token("thp", "thp_abcdEFGH_" + "0" * 43) == ("abcdEFGH", "0" * 43)


NAMES = st.text("a/%:", min_size=1, max_size=3)


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | NAMES), min_size=2, max_size=6))
def test_tenants_are_the_same_exactly_where_organisation_and_team_are_or_the_agent_without_one(callers):
    whose = {(org, team, None if team else agent) for agent, team, org in callers}
    assert len({identify.tenant(Caller(agent, team=team, org=org)) for agent, team, org in callers}) == len(whose)
