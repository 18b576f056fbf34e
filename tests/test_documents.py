"""Files people write: one reading, every problem, each with its place."""

import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator

from gateway.documents import MAX_DEPTH, Section, load, nearest, parse, positions
from gateway.errors import FileProblems
from gateway.yaml_nodes import MAX_BYTES


class Rule(Section):
    id: str
    effect: Literal["deny", "ask"] = "deny"
    weight: float = 1.0


class Tls(Section):
    verify: bool = True


class Upstream(Section):
    url: str
    tls: Tls | None = None
    retries: int = 1


class File(Section):
    version: Literal[1]
    title: str | None = None
    exact: Literal[False] = False
    rules: tuple[Rule, ...] = ()
    upstreams: dict[str, Annotated[Upstream, Field(title="one")] | str | list[int]] = Field(default_factory=dict)
    names: Annotated[list[str], Field(min_length=1)] = Field(default_factory=lambda: ["x"])
    aliased: int = Field(0, alias="alias-name")

    @field_validator("title")
    @classmethod
    def _no_shouting(cls, title: str | None) -> str | None:
        if title is not None and title.isupper():
            raise ValueError("Do not shout")
        return title


def problems(text: str | bytes, model: type[Any] = File) -> list[tuple[int, int, str]]:
    with pytest.raises(FileProblems) as caught:
        load(text if isinstance(text, bytes) else text.encode(), "f.yaml", model)
    return [(p.line, p.column, p.message) for p in caught.value.problems]


def test_a_file_becomes_its_model():
    text = b"version: 1\nrules:\n- {id: a, weight: 2}\n- id: b\n  effect: ask\nupstreams: {x: {url: u}, y: [1]}\n"
    file = load(text, "f.yaml", File)
    assert [r.id for r in file.rules] == ["a", "b"]
    assert file.rules[0].weight == 2
    assert file.upstreams == {"x": Upstream(url="u"), "y": [1]}


def test_every_problem_of_a_file_is_reported_in_order():
    text = (
        "version: 2\nexact: true\nrules:\n- id: 3\n  efect: ask\n- effect: dney\nupstreams: {x: {ulr: u}}\nnames: []\n"
    )
    assert problems(text) == [
        (1, 10, "'version' must be 1"),
        (2, 8, "'exact' must be false"),
        (4, 7, "'id' must be text, not a number; put it in quotes"),
        (5, 3, "unknown key 'efect'; did you mean 'effect'?"),
        (6, 3, "missing key 'id'; add it"),
        (6, 11, "'effect' must be 'deny' or 'ask'; did you mean 'deny'?"),
        (7, 13, "missing key 'url'; add it"),
        (7, 17, "unknown key 'ulr'; did you mean 'url'?"),
        (8, 1, "'names' must have 1 or more entries, not 0"),
    ]


def test_problems_of_yaml_and_model_come_together():
    text = "version: 1\nversion: 1\ntitle: !loud HI\nrules: 5\n"
    assert problems(text) == [
        (2, 1, "duplicate key 'version' (first in line 1); remove one of them"),
        (3, 8, "tags ('!…') are not allowed; remove it, and use quotes to make a value text"),
        (3, 8, "'title' do not shout"),
        (4, 8, "'rules' must be a list, not a number"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "the file must be a mapping (key: value), not a list"),
        ("x\n", "the file must be a mapping (key: value), not text"),
        ("true\n", "the file must be a mapping (key: value), not true or false"),
        ("1.5\n", "the file must be a mapping (key: value), not a decimal number"),
        ("version: 1\ntitle: [x]\n", "'title' must be text, not a list"),
        ("version: 1\nrules: [x]\n", "entry 1 must be a mapping (key: value), not text"),
        ("version: 1\nnames:\n", "'names' must be a list, not nothing"),
        (
            "version: 1\nupstreams: {1: {url: x, retries: 1.5}}\n",
            "'retries' must be a whole number, not a decimal number",
        ),
    ],
)
def test_a_wrong_kind_is_named(text, said):
    assert said in [message for _, _, message in problems(text)]


def test_keys_are_offered_by_the_name_people_write():
    assert "unknown key 'alias-nam'; did you mean 'alias-name'?" in problems("version: 1\nalias-nam: 1\n")[0][2]
    assert problems("version: 1\nupstreams: {zz: {qqqq: 1, url: x}}\n")[-1][2] == "unknown key 'qqqq'"
    assert problems("version: 1\nupstreams: {zz: {url: x, tls: {verfy: true}}}\n") == [
        (2, 32, "unknown key 'verfy'; did you mean 'verify'?")
    ]
    assert load(b"version: 1\nalias-name: 4\n", "f", File).aliased == 4


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "~\n"[1:], "--- \n", "%YAML 1.2\n---\n"])
def test_an_empty_file_is_a_problem(text):
    assert "the file is empty" in problems(text)[0][2]


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        (b"\xef\xbb\xbfversion: 1\n", 1, 1, "byte order mark"),
        ("version: 1\n".encode("utf-16"), 1, 1, "byte order mark"),
        (b"version: 1\ntitle: \xff\n", 2, 8, "not UTF-8"),
        (b"version: 1\ntitle: \x07\n", 2, 8, "U+0007"),
        ("version: 1\ntitle: a\u202eb\n".encode(), 2, 9, "U+202E"),
        ("version: 1\ntitle: a\u2028b\n".encode(), 2, 9, "U+2028"),
        ("version: 1\ntitle: a\u0085b\n".encode(), 2, 9, "U+0085"),
        ("version: 1\ntitle: a\ufeffb\n".encode(), 2, 9, "U+FEFF"),
        (b"version: 1\nrules:\n\t- id: a\n", 3, 1, "tab"),
        (b"a:\n  b: c\n\td: e\n", 3, 1, "tab"),
        (b"version: @1\n", 1, 10, "cannot begin with '@'"),
        (b"version: 1\ntitle: a: b\n", 2, 9, "':' stands where no key can be"),
        (b"version: [1\n", 1, 10, "the bracket that opens here"),
        (b"version: 'x\n", 1, 10, "a quote opens here and is closed nowhere"),
        (b"version: [*]\n", 1, 11, "put in quotes"),
        (b"version: *one\n", 1, 10, "unknown alias '*one'"),
        (b"version: 1\n---\nversion: 1\n", 2, 1, "only one document"),
        (b"version: !!map {}\n", 1, 10, "the tag"),
        (b"version: ! 1\n", 1, 10, "tags"),
        (b"? [a]\n: 1\n", 1, 3, "a key must be plain text"),
        (b"? !x a\n: 1\n", 1, 3, "a key must be plain text"),
        (b"version: 9223372036854775808\n", 1, 10, "too large"),
        (b"version: 1e999\n", 1, 10, "too large"),
        (b"version: " + b"9" * 500 + b"\n", 1, 10, "too large"),
        (b"%YAML 3.0\n---\nversion: 1\n", 1, 1, "not valid YAML"),
    ],
)
def test_what_has_no_single_reading_is_a_problem_at_its_place(text, line, column, said):
    assert (line, column) in [found[:2] for found in problems(text) if said in found[2]]


def test_a_file_that_is_too_large_is_not_parsed():
    assert "larger than" in problems(b"#" * (MAX_BYTES + 1))[0][2]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
@pytest.mark.parametrize("times", [MAX_DEPTH + 2, 100_000])
def test_deep_nesting_is_refused_before_it_can_hurt(opening, times):
    assert "levels deep" in problems(opening * times)[0][2]


def test_an_alias_inside_itself_is_refused():
    assert "levels deep" in problems("version: &v [*v]\n")[0][2]


def test_aliases_that_multiply_are_refused():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{c}: &{c} [{', '.join([f'*{chr(ord(c) - 1)}'] * 10)}]\n" for c in "bcdefgh")
    assert "once aliases are followed" in problems(bomb)[0][2]


def test_aliases_of_long_text_are_refused_by_what_they_come_to():
    assert "too much text" in problems(f"a: &a '{'x' * 100_000}'\nb: [{'*a, ' * 100}]\n")[0][2]


def test_an_ordinary_alias_is_its_anchor():
    assert parse(b"a: &a {x: 1}\nb: *a\n", "f").value == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("<<", "<<"), ("=", "=")),
        *(("true", True), ("True", True), ("TRUE", True), ("tRUE", "tRUE"), ("false", False)),
        *(("null", None), ("~", None), ("", None), ("none", "none")),
        *(
            ("12", 12),
            ("-3", -3),
            ("0", 0),
            ("-0", 0),
            ("1.5", 1.5),
            ("1e3", 1000.0),
            ("9223372036854775807", 2**63 - 1),
        ),
        *(("007", "007"), ("0o17", "0o17"), ("0x1f", "0x1f"), ("1:30", "1:30"), ("1_000", "1_000")),
        *(("+1", "+1"), (".5", ".5"), ("1.", "1."), (".inf", ".inf"), (".nan", ".nan")),
        *(("2026-11-21", "2026-11-21"), ("'12'", "12"), ('"true"', "true"), ("''", "")),
    ],
)
def test_scalars_are_read_like_json_and_all_else_is_text(written, value):
    read = parse(f"a: {written}\n".encode(), "f").value["a"]
    assert read == value
    assert type(read) is type(value)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Cn"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefgh", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_json_is_read_as_json(value):
    assert parse(json.dumps({"v": value}, ensure_ascii=False).encode(), "f").value == {"v": value}


@given(st.binary(max_size=200) | st.text("[]{}:,-'\"|>&*!?%@` \n\tab1", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(text):
    assert all(line >= 1 and column >= 1 for line, column in places_of(text))


def places_of(text):
    try:
        return list(parse(text, "f").positions().values())
    except FileProblems as error:
        return [(p.line, p.column) for p in error.problems]


# -- places -----------------------------------------------------------------------------------------------

STYLES = {
    "plain": "k: one two three\n",
    "plain over lines": "k: one\n    two\n\n  three\n",
    "single": "k: 'one two three'\n",
    "single with quotes": "k: 'it''s one two three'\n",
    "double": 'k: "one two three"\n',
    "double with escapes": 'k: "a\\tb \\"q\\" \\u00e9 \\x41 one two three"\n',
    "folded": "k: >-\n  one\n  two\n\n  three\n",
    "literal": "k: |\n  one\n    two\n  three\n",
    "in a list": "k: [a, 'one two three']\n",
    "windows": "k: |\r\n  one\r\n  two three\r\n",
}


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("word", ["one", "two", "three"])
def test_a_place_inside_text_is_found_in_every_style(text, word):
    document = parse(text.encode(), "f")
    path = ("k", 1) if "[" in text else ("k",)
    value = document.value["k"][1] if "[" in text else document.value["k"]
    problem = document.problem_within(path, value.index(word), "here")
    assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith(word)
    end = document.problem_within(path, len(value), "here")
    assert text.splitlines()[end.line - 1][: end.column - 1].endswith("three")


def test_a_place_inside_nothing_is_where_it_stands():
    document = parse(b"k: ''\nb: |\n", "f")
    assert (document.problem_within(("k",), 0, "x").line, document.problem_within(("b",), 3, "x").line) == (1, 2)


def test_another_value_keeps_its_places():
    document = parse(b"a: 1\nb: {c: 2}\n", "f").with_value({"b": {"c": 3}})
    assert document.value == {"b": {"c": 3}}
    assert document.place(("b", "c")) == (2, 8)


def test_places_of_keys_values_and_absent_things():
    document = parse(b"a: 1\nlist:\n- {k: [x]}\n", "f")
    assert document.place(("a",)) == (1, 4)
    assert document.place(("a",), key=True) == (1, 1)
    assert document.place(("list",)) == (2, 1)
    assert document.place(("list", 0)) == (3, 3)
    assert document.place(("list", 0, "absent", 3)) == (3, 3)
    assert document.place(("nowhere",)) == (1, 1)
    assert positions(b"a: [x]\n") == {(): (1, 1), ("a",): (1, 4), ("a", 0): (1, 5)}


def test_a_problem_quotes_its_line_with_a_caret():
    [problem] = parse(b"ok: 1\nok: 2\n", "f.yaml").problems
    assert str(problem) == (
        "f.yaml:2:1: error: duplicate key 'ok' (first in line 1); remove one of them\n    ok: 2\n    ^"
    )


def test_a_line_too_long_to_show_is_not_quoted():
    document = parse(f"a: [{'x, ' * 500}y]\n".encode(), "f")
    assert document.problem(("a", 400), "here").source == ""
    assert len(document.problem(("a", 3), "here").source) == 200


@pytest.mark.parametrize(
    ("name", "known", "offer"),
    [
        ("acton", ["action", "id"], "; did you mean 'action'?"),
        ("agrs", ["vars", "args"], "; did you mean 'args'?"),
        ("zzz", ["action"], ""),
        ("x", [], ""),
    ],
)
def test_the_nearest_name_is_offered(name, known, offer):
    assert nearest(name, known) == offer


def test_a_part_of_a_document_keeps_the_places_of_the_file():
    document = parse(b"top:\n- {a: 1, b: {c: x}}\n- other\n", "f.yaml")
    part = document.part(("top", 0))
    assert part.value == {"a": 1, "b": {"c": "x"}}
    assert part.place(("b", "c")) == document.place(("top", 0, "b", "c"))
    assert part.problem(("b",), "wrong", key=True) == document.problem(("top", 0, "b"), "wrong", key=True)
    assert part.problem(("absent",), "wrong") == document.problem(("top", 0), "wrong")
