"""One version of a kept prompt: its file, what may be given for its variables, its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FileProblems, GatewayError
from gateway.prompt.kept import label_problem, read
from gateway.prompt.variables import MOST_GIVEN, MOST_ITEMS

HEAD = """description: Answers questions about orders.
model: gpt-5-mini
parameters: {temperature: 0.2, max_tokens: 500, stop: [END]}
variables:
  shop: {type: string, max_length: 20}
  orders: {type: integer, default: 3, values: [3, 4]}
  share: {type: number, default: 0.5}
  vip: {type: boolean, default: false}
  tools: {type: list, default: []}
labels: {production: this}
"""
BODY = "\nYou help in {{ shop }} with {{ orders }} orders ({{ share }}, {{ vip }}).\n{% for tool in tools %}\n- {{ tool }}\n{% endfor %}\n"


def kept(head: str = HEAD, body: str = BODY, name: str = "support"):
    return read(name, f"---\n{head}---\n{body}".encode())


def problem(text: str, name: str = "support") -> str:
    with pytest.raises(FileProblems) as caught:
        read(name, text.encode())
    return "\n".join(str(each).split("\n")[0] for each in caught.value.problems)


def refused(**given) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        kept().values(given)
    assert (caught.value.kind, caught.value.param) == ("bad_request", "prompt")
    return caught.value.code, caught.value.message


def test_a_prompt_is_filled():
    found = kept()
    text = found.text(found.values({"shop": "Bath & <Body>", "tools": ["search", "pay"]}))
    assert text == "You help in Bath & <Body> with 3 orders (0.5, false).\n- search\n- pay\n"
    assert (found.head.model, found.head.parameters.said()) == ("gpt-5-mini", {"temperature": 0.2, "max_tokens": 500, "stop": ["END"]})


def test_what_was_given_is_kept_with_the_defaults():
    assert kept().values({"shop": "x"}) == {"shop": "x", "orders": 3, "share": 0.5, "vip": False, "tools": []}


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({}, "missing_prompt_variable", "needs the variable `shop` (string)"),
        ({"shop": "x", "shopp": "y"}, "unknown_prompt_variable", "did you mean 'shop'?"),
        ({"shop": 1}, "wrong_prompt_variable", "must be text"),
        ({"shop": None}, "wrong_prompt_variable", "must be text"),
        ({"shop": "x" * 21}, "wrong_prompt_variable", "no longer than 20 characters"),
        ({"shop": "x", "orders": "3"}, "wrong_prompt_variable", "a whole number"),
        ({"shop": "x", "orders": 3.0}, "wrong_prompt_variable", "a whole number"),
        ({"shop": "x", "orders": True}, "wrong_prompt_variable", "a whole number"),
        ({"shop": "x", "orders": 5}, "wrong_prompt_variable", "one of 3, 4"),
        ({"shop": "x", "share": "much"}, "wrong_prompt_variable", "a number"),
        ({"shop": "x", "share": True}, "wrong_prompt_variable", "a number"),
        ({"shop": "x", "vip": 1}, "wrong_prompt_variable", "true or false"),
        ({"shop": "x", "tools": "search"}, "wrong_prompt_variable", "a list"),
        ({"shop": "x", "tools": [{"a": 1}]}, "wrong_prompt_variable", "a list"),
        ({"shop": "x", "tools": ["x" * 20_001]}, "wrong_prompt_variable", "no longer than"),
        ({"shop": "x", "tools": [1] * (MOST_ITEMS + 1)}, "wrong_prompt_variable", "a list"),
        ({"shop": "x", "tools": ["x" * 19_000] * 14}, "variables_too_long", f"{MOST_GIVEN // 1024} KiB"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_fill_the_prompt_is_refused_and_says_what_to_send(given, code, says):
    told = refused(**given)
    assert told[0] == code
    assert says in told[1]


def test_a_prompt_without_variables_says_so():
    with pytest.raises(GatewayError, match="It has: none"):
        kept("", "Hi.").values({"x": 1})


@pytest.mark.parametrize(
    ("body", "given", "says"),
    [
        ("{% if vip %}Hi{% endif %}", {"shop": "x"}, "says nothing"),
        ("{% for x in tools %}{{ shop }}{% endfor %}", {"shop": "x" * 20_000, "tools": [1] * 999}, "too long"),
        ("{% if shop < orders %}Hi{% endif %}", {"shop": "x"}, "cannot be compared"),
    ],
)
def test_a_prompt_that_comes_to_nothing_is_refused(body, given, says):
    found = kept(HEAD.replace("max_length: 20", "max_length: 20000"), body)
    with pytest.raises(GatewayError, match=says) as caught:
        found.text(found.values(given))
    assert caught.value.code == "prompt_unusable"


SAME = [
    (HEAD.replace("description: Answers questions about orders.\n", ""), BODY),
    (HEAD.replace("labels: {production: this}", "labels: {}"), BODY),
    (HEAD.replace("{temperature: 0.2, max_tokens: 500, stop: [END]}", "{stop: ['END'], max_tokens: 500, temperature: 0.2}"), BODY),
    (HEAD.replace("{type: boolean, default: false}", "{type: boolean, default: false, description: a good customer}"), BODY),
    (HEAD, BODY.strip("\n")),
    (HEAD.replace("\n", "\r\n"), BODY.replace("\n", "\r\n")),
]


@pytest.mark.parametrize(("head", "body"), SAME)
def test_what_changes_no_answer_makes_no_version(head, body):
    assert kept(head, body).version == kept().version


OTHER = [
    (HEAD, BODY + "."),
    (HEAD.replace("gpt-5-mini", "gpt-5"), BODY),
    (HEAD.replace("0.2", "0.3"), BODY),
    (HEAD.replace("default: 3", "default: 4"), BODY),
    (HEAD.replace(", default: false", ""), BODY),
    (HEAD.replace("max_length: 20", "max_length: 21"), BODY),
]


def test_what_changes_an_answer_makes_a_version():
    versions = {kept(head, body).version for head, body in OTHER} | {kept().version, kept(name="other").version}
    assert len(versions) == len(OTHER) + 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("You help.", "support.md:1:1: error: a prompt begins with a line '---'"),
        ("---\nmodel: x\nYou help.", "support.md:1:1: error: a prompt begins with a line '---'"),
        ("---\n---\n\n", "the prompt has no text"),
        ("---\n- model\n---\nHi", "support.md:2:1: error: front matter is a mapping"),
        ("---\nmodel: x\nmodell: y\n---\nHi", "support.md:3:1: error: unknown key 'modell'; did you mean 'model'?"),
        ("---\nmodel: x\nmodel: y\n---\nHi", "duplicate key 'model'"),
        ("---\nvariables:\n  shop: {type: text}\n---\nHi", "support.md:3:16: error: 'type' must be"),
        ("---\nvariables:\n  shop: {type: integer, default: x}\n---\nHi", "must be a whole number"),
        ("---\nvariables:\n  shop: {type: integer, values: [x]}\n---\nHi", "must be a whole number"),
        ("---\nvariables:\n  __class__: {type: integer}\n---\nHi", "is no name for a variable"),
        ("---\nlabels: {production: that}\n---\nHi", "must be 'this' or a version's hash"),
        ("---\nlabels: {this: this}\n---\nHi", "is no name for a label"),
        ("---\nlabels: {deadbeef: this}\n---\nHi", "is no name for a label"),
        ("---\nmodel: x\n---\n\nHi\n  {{ nobody }}", "support.md:6:6: error: 'nobody' is not declared"),
        ("---\nmodel: x\n---\n\nHi\n{% if %}", "support.md:6:1: error: "),
        ("---\n---\nHi\u202e", "U+202E is not allowed"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(text, says):
    assert says in problem(text)


@pytest.mark.parametrize("name", ["", "Support", "a b", "-x", "a" * 65, "../x"])
def test_a_name_that_could_be_misread_is_refused(name):
    assert "is no name for a prompt" in problem("---\n---\nHi", name)


def test_a_file_without_front_matter_between_its_lines_is_a_prompt():
    assert read("x", b"---\n---\nHi.").text({}) == "Hi."
    assert read("x", b"---\n\n---\nHi.").version == read("x", b"---\n---\nHi.\n").version


@pytest.mark.parametrize("label", ["production", "canary", "a-b_9"])
def test_labels(label):
    assert label_problem(label) == ""


@given(st.text(min_size=1, max_size=20), st.integers(-(2**63), 2**63 - 1), st.lists(st.text(max_size=9) | st.booleans(), max_size=4))
def test_the_same_variables_always_say_the_same(shop, orders, tools):
    found = kept(HEAD.replace(", values: [3, 4]", ""))
    given = {"shop": shop, "orders": orders, "tools": tools}
    assert found.text(found.values(given)) == read("support", found.source.encode()).text(found.values(found.values(given)))
