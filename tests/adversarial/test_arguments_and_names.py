"""Rows A and B: arguments and names that two readers understand differently have one meaning here, or are blocked.

Each row is a class of input: (id, what it is, `build(wire, kit, stream)` → (what the provider sends, what must happen) or None where the
form does not have it). Blocked, closed, stripped and passed mean what `conftest.House` checks: the verdict, every reader, the record.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

FULLWIDTH = "ｄｅｌｅｔｅ_file"
DEEP = '{"path":' + "[" * 10_000 + "]" * 10_000 + "}"


def arguments(name: str, text: Any, *codes: str, in_body: str = "") -> Any:
    """A call with this argument text is withheld. Where arguments stand in the answer itself (Gemini, a whole Messages answer) that may be
    no JSON any more: then the answer is closed with `in_body`."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        closed = in_body and not w.textual(stream) and (w.name == "messages" or "trailing_data" in codes)
        required = k.closes(in_body) if closed else k.block(*codes)
        return k.proposed(w, stream, k.call(name, text)), required

    return build


def named(name: Any, *codes: str) -> Any:
    return lambda w, k, stream: (k.proposed(w, stream, k.call(name, '{"path": "/srv/a"}')), k.block(*codes))


def beside(text: str) -> Any:
    """The blocked call has a granted sibling, which arrives."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        calls = k.call(k.good[0], id="call_0"), k.call("read_file", text)
        alone = w.name == "gemini" and not stream  # the whole answer cannot be read in one way
        return k.proposed(w, stream, *calls), k.block("dup_key", released=() if alone else (k.good,))

    return build


def twice_named(w: Any, k: Any, stream: bool) -> Any:
    call = k.call(k.dup("get_weather", "delete_file"))
    if w.name == "responses" and stream:  # no copy of the call can be read
        return w.frames(call), k.closes("protocol")
    return (k.proposed(w, stream, call) if not stream else [*w.opening(), *cut_in_one(w, call), *w.closing()]), k.block(
        "dup_key"
    )


def cut_in_one(w: Any, call: Any) -> list[bytes]:
    if w.name == "gemini":
        return w.middle(call)
    return [w.begun(call, 0)] if w.name == "chat" else [w.begun(call, 1), w.piece(1, call.args), w.stopped(1)]


def folded_key(w: Any, k: Any, stream: bool) -> Any:
    """`Tool_Calls` beside `tool_calls`: some JSON readers take either."""
    hidden = [{"id": "c9", "index": 0, "type": "function", "function": {"name": "delete_file", "arguments": "{}"}}]
    good = k.call(k.good[0])
    if w.name == "messages":
        return (w.whole(good, Content=[{"type": "tool_use"}]), k.strips("Content", k.good)) if not stream else None
    if w.name == "gemini":
        folded = [w.candidate([w.entry(k.call("delete_file"))])]
        pieces = [*w.opening(), *w.middle(good), w.chunk({"text": ""}, finish="STOP", Candidates=folded)]
        return pieces if stream else w.whole(good, Candidates=folded), k.strips("Candidates", k.good)
    if w.name == "responses":
        folded = [w.entry(k.call("delete_file"))]
        pieces = [*w.opening(), *w.middle(good), *w.closing(Output=folded)] if stream else []
        return pieces or w.whole(good, Output=folded), k.strips("Output", k.good)
    if not stream:
        return w.whole(good, message={"Tool_Calls": hidden}), k.strips("Tool_Calls", k.good)
    delta = w.chunk({"content": "x", "Tool_Calls": hidden})
    return [*w.opening(), delta, *w.middle(good), *w.closing()], k.strips("Tool_Calls", k.good)


def folded_name(w: Any, k: Any, stream: bool) -> Any:
    return k.proposed(w, stream, k.call(k.good[0], more={"Name": "delete_file"})), k.strips("Name", k.good)


def no_arguments(text: Any, name: str = "list_all") -> Any:
    """Nothing is `{}`; then the schema decides."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        required = k.passes((name, {})) if name == "list_all" else k.block("schema")
        return k.proposed(w, stream, k.call(name, text)), required

    return build


def null_arguments(w: Any, k: Any, stream: bool) -> Any:
    """A null beside the name is no argument text at all; a null in the block's input is a value that is no object."""
    required = k.block("type") if w.name == "messages" else k.passes(("list_all", {}))
    return k.proposed(w, stream, k.call("list_all", None)), required


def null_text(w: Any, k: Any, stream: bool) -> Any:
    """As argument text it is a value that is no object; where arguments are no text it is a null beside the name."""
    return None if w.name == "gemini" else arguments("list_all", "null", "type")(w, k, stream)


def long_fraction(w: Any, k: Any, stream: bool) -> Any:
    """Argument text would be delivered as it is, for others to round; what is written anew is what was judged."""
    text = '{"amount": 0.1000000000000000055511151231257827}'
    required = k.passes(("pay", {"amount": 0.1})) if w.name == "gemini" else k.block("number")
    return k.proposed(w, stream, k.call("pay", text)), required


def object_for_text(w: Any, k: Any, stream: bool) -> Any:
    call = k.call("read_file", {"path": "/srv/a"})
    return (k.proposed(w, stream, call), k.block("type")) if w.name in ("chat", "responses") else None


def bad_bytes(raw: bytes) -> Any:
    """Bytes that are no UTF-8, inside the argument text. A chat body or event without one meaning is one unreadable call."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        path = b"/srv/" + raw
        if w.name == "chat":
            call = k.call("read_file", k.raw(b'"{\\"path\\": \\"' + path + b'\\"}"'))
            return k.proposed(w, stream, call), k.block("encoding")
        if w.name == "gemini":
            return k.proposed(w, stream, k.call("read_file", k.raw(b'{"path": "' + path + b'"}'))), k.block("encoding")
        if w.name == "responses":
            text = k.raw(b'"{\\"path\\": \\"' + path + b'\\"}"')
            if not stream:
                return w.whole(k.call("read_file", text)), k.block("encoding")
            good = k.call("read_file", '{"path": "/srv/a"}')
            begun = [*w.opening(), w.begun(good), w.piece(1, text), w.done(w.entry(good))]
            return [*begun, *w.closing()], k.block("encoding")
        if not stream:
            return w.whole(k.call("read_file", k.raw(b'{"path": "' + path + b'"}'))), k.closes("protocol")
        delta = w.piece(1, k.raw(b'"{\\"path\\": \\"' + path + b'\\"}"'))
        return [*w.opening(), w.begun(k.call("read_file"), 1), delta, w.stopped(1), *w.closing()], k.block("encoding")

    return build


def nested_body(w: Any, k: Any, stream: bool) -> Any:
    """The answer itself is nested without end, where no call is."""
    junk = k.raw(b"[" * 10_000 + b"]" * 10_000)
    required = k.closes("protocol") if w.name == "messages" else k.block("depth")
    if not stream:
        return w.whole(junk=junk), required
    event = w.chunk({}, junk=junk) if w.name in ("chat", "gemini") else w.event("ping", junk=junk)
    return [*w.opening(), event, *w.closing()], required


def declared_look_alike(name: str) -> Any:
    """Granted by nobody, whatever is declared: names count exactly."""
    return named(name, "undeclared_tool")


def shared_id(w: Any, k: Any, stream: bool) -> Any:
    calls = k.call("get_weather", id="call_1"), k.call("delete_file", '{"path": "/srv/a"}', id="call_1")
    return k.proposed(w, stream, *calls), k.block("duplicate_id")


def path(text: str) -> Any:
    return arguments("read_file", '{"path": "%s"}' % text, "rule")


def failing(text: str) -> Any:
    return arguments("read_file", '{"path": "%s"}' % text, "policy_error")


ROWS: list[tuple[str, str, Any]] = [
    ("A1", "two names under one key", twice_named),
    (
        "A2",
        "one key twice in the arguments",
        arguments("read_file", '{"path":"/srv/a","path":"/etc/shadow"}', "dup_key"),
    ),
    (
        "A2",
        "one key twice, once escaped",
        arguments("read_file", '{"path":"/srv/a","p\\u0061th":"/etc/shadow"}', "dup_key"),
    ),
    ("A2", "deep inside", arguments("read_file", '{"path":{"a":[{"b":1,"b":2}]}}', "dup_key")),
    ("A2", "with a sibling", beside('{"path":"/srv/a","path":"/etc/shadow"}')),
    ("A3", "a key that folds to `tool_calls`", folded_key),
    ("A3", "a key that folds to `name`", folded_name),
    (
        "A4",
        "two values",
        arguments("read_file", '{"path":"/srv/a"}{"path":"/etc/shadow"}', "trailing_data", in_body="protocol"),
    ),
    (
        "A4",
        "text after the value",
        arguments("read_file", '{"path":"/srv/a"} and so on', "trailing_data", in_body="protocol"),
    ),
    ("A5", "nothing", no_arguments("")),
    ("A5", "nothing where something is needed", no_arguments("", "get_weather")),
    ("A5", "null beside the name", null_arguments),
    ("A5", "null", null_text),
    ("A5", "a list", arguments("list_all", "[]", "type")),
    ("A5", "a string", arguments("list_all", '"x"', "type")),
    ("A5", "a number", arguments("list_all", "1", "type")),
    ("A5", "encoded twice", arguments("read_file", '"{\\"path\\": \\"/srv/a\\"}"', "type")),
    ("A5", "an object instead of text", object_for_text),
    ("A6", "10,000 levels", arguments("read_file", DEEP, "depth", in_body="protocol")),
    ("A6", "65 levels", arguments("list_all", '{"a":' * 65 + "1" + "}" * 65, "depth")),
    ("A6", "an answer nested beside its calls", nested_body),
    ("A7", "NaN", arguments("pay", '{"amount": NaN}', "number", in_body="protocol")),
    ("A7", "Infinity", arguments("pay", '{"amount": -Infinity}', "number", in_body="protocol")),
    ("A7", "an infinite fraction", arguments("pay", '{"amount": 1e999}', "number", in_body="protocol")),
    ("A7", "an integer over 64 bits", arguments("pay", '{"amount": -18446744073709551617}', "number")),
    ("A7", "a fraction no double holds", long_fraction),
    (
        "A8",
        "a lone surrogate",
        arguments("read_file", '{"path": "/srv/\\ud800"}', "encoding", in_body="protocol"),
    ),
    ("A8", "a surrogate as bytes", bad_bytes(b"\xed\xa0\x80")),
    ("A8", "an overlong slash", bad_bytes(b"\xc0\xaf")),
    ("A10", "up and out", path("/srv/../etc")),
    ("A10", "up and out over doubled slashes", path("/srv//../../etc")),
    ("A10", "percent-encoded", failing("/srv/%2e%2e/etc")),
    ("A10", "a folder that begins alike", path("/srvx/x")),
    ("A10", "somebody's home", failing("~root")),
    ("A10", "a look-alike of a slash", failing("/srv/..\\u2215..\\u2215etc")),
    ("A10", "a backslash", failing("/srv/..\\\\..\\\\etc")),
    ("A10", "a zero byte", failing("/srv/a\\u0000/../../etc")),
    (
        "A10",
        "up and in again",
        lambda w, k, s: (
            k.proposed(w, s, k.call("read_file", '{"path": "/srv/../srv/a"}')),
            k.passes(("read_file", {"path": "/srv/../srv/a"})),
        ),
    ),
    ("A12", "a prototype", arguments("get_weather", '{"city":"Paris","__proto__":{"x":1},"constructor":1}', "schema")),
    ("B1", "fullwidth letters", named(FULLWIDTH, "bad_name")),
    ("B1", "a Cyrillic e", named("dеlete_file", "bad_name")),
    ("B1", "a ligature", named("delete_ﬁle", "bad_name")),
    ("B1", "another hyphen", named("get‐weather", "bad_name")),
    ("B1", "a right-to-left mark", named("get_weather\u200f", "bad_name")),
    ("B2", "another case", declared_look_alike("Delete_File")),
    ("B2", "a granted name in another case", declared_look_alike("GET_WEATHER")),
    ("B2", "a space before", named(" delete_file", "bad_name")),
    ("B2", "a space behind", named("get_weather ", "bad_name")),
    ("B2", "a line end behind", named("get_weather\n", "bad_name")),
    ("B2", "a zero byte behind", named("get_weather\x00", "bad_name")),
    ("B2", "empty", named("", "bad_name")),
    ("B2", "null", named(None, "bad_name")),
    ("B2", "a number", named(7, "bad_name")),
    ("B2", "a list", named(["get_weather"], "bad_name")),
    ("B2", "200 characters", named("a" * 200, "bad_name")),
    (
        "B3",
        "granted by the policy, declared by nobody",
        lambda w, k, s: (k.proposed(w, s, k.call("exec_sql", "{}")), k.block("undeclared_tool")),
    ),
    ("B5", "one id for two calls", shared_id),
    ("B6", "a Cyrillic key beside", arguments("read_file", '{"path":"/srv/a","pаth":"/etc/shadow"}', "schema")),
    ("B6", "a Cyrillic key instead", arguments("read_file", '{"pаth":"/etc/shadow"}', "schema")),
    ("B6", "a key with a space", arguments("read_file", '{"path ":"/etc/shadow","path":"/srv/a"}', "schema")),
]


@pytest.mark.parametrize("row", sorted({row[0] for row in ROWS}, key=lambda r: (r[0], int(r[1:]))))
def test_what_readers_understand_differently_never_arrives(play: Any, wire: Any, row: str) -> None:
    play(ROWS, row, wire)


LOOSE = [
    ("A12", "a prototype", arguments("get_weather", '{"city":"Paris","__proto__":{"x":1}}', "rule")),
    ("B6", "a Cyrillic key beside", arguments("read_file", '{"path":"/srv/a","pаth":"/etc/shadow"}', "rule")),
    ("B6", "a Cyrillic key instead", arguments("read_file", '{"pаth":"/etc/shadow"}', "rule")),
    ("A5", "nothing", arguments("get_weather", "", "policy_error")),
]


def forget_schemas(tree: Any) -> None:
    for inner in tree if isinstance(tree, list) else tree.values() if isinstance(tree, dict) else ():
        forget_schemas(inner)
    if isinstance(tree, dict):
        for key in ("input_schema", "parameters", "parametersJsonSchema"):
            tree.pop(key, None)


@pytest.mark.parametrize(("row", "what", "build"), LOOSE)
def test_without_a_schema_of_the_client_the_policy_alone_says_the_same(
    house: Any, kit: Any, wire: Any, row: str, what: str, build: Any
) -> None:
    """Clients that declare no schema must not be easier to fool."""
    for stream in (False, True):
        body = wire.request(stream)
        forget_schemas(body["tools"])
        upstream, required = build(wire, kit, stream)
        house.provider.answer = house.provider.sse(*upstream) if stream else house.provider.json(upstream)
        house.judge(wire, stream, house.ask(wire, stream, body), required)


ODD_BODIES = {
    "A9 UTF-16 with its mark": lambda text: text.decode().encode("utf-16"),
    "A9 UTF-16 without a mark": lambda text: text.decode().encode("utf-16-le"),
    "A9 UTF-32": lambda text: text.decode().encode("utf-32-be"),
    "A9 a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "A6 1,025 nested arrays": lambda text: text[:-1] + b',"metadata":' + b"[" * 1025 + b"]" * 1025 + b"}",
    "A6 100,000 open arrays": lambda text: text[:-1] + b',"metadata":' + b"[" * 100_000,
    "A1 the first key twice": lambda text: text[:-1] + b"," + text[1 : text.index(b":")] + b':"other"}',
    "A7 NaN": lambda text: text[:-1] + b',"temperature":NaN}',
    "A8 not UTF-8": lambda text: text.replace(b'"go"', b'"\xc0\xaf"'),
    "A4 a second body": lambda text: text + text,
}


@pytest.mark.parametrize("what", ODD_BODIES)
def test_a_request_without_one_meaning_reaches_no_provider(house: Any, kit: Any, wire: Any, what: str) -> None:
    for stream in (False, True):
        body = ODD_BODIES[what](json.dumps(wire.request(stream)).encode())
        answer = house.ask(wire, stream, body)
        house.judge(wire, False, answer, kit.needs("REJECT", ("invalid_json",)))
        assert answer.status_code == 400
        house.stays_well(wire)
