"""Code in fenced blocks parses, or the block is seen."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.code import CODE, Code
from gateway.validators.validator import Subject, Unjudged

ALL = ("python", "json", "yaml", "toml", "bash", "sql")


def block(language: str, code: str) -> str:
    return f"Here:\n```{language}\n{code}\n```\n"


def seen(text: str, *languages: str, **options):
    return list(CODE.make(Code(languages=languages or ALL, **options))(Subject(text)))


@pytest.mark.parametrize(
    ("language", "good", "bad", "where"),
    [
        ("python", "def f(x):\n    return x", "def f(x):\nreturn x", "line 2"),
        ("py", "async with a: await b\nawait c", "print 1", "line 1"),
        ("python3", "x = '\\d'", "x = 'a", "line 1"),
        ("python", "    x = 1\n    y = 2", "x = (1", "line 1"),
        ("python", "x = 1", "x = '\0'", "line 1|a zero"),
        ("python", "x = 1", "x = '\ud800'", "surrogate"),
        ("json", '{"a": [1, 2.5]}', '{"a": 1,}', ""),
        ("json", "[]", '{"a": 1, "a": 2}', "same key twice"),
        ("yaml", "a: [1, 2]\nb: {c: d}\n---\ne", "a: [1\nb: 2", "line 2"),
        ("yml", "a: 1", "a: \x07", "cannot stand"),
        ("yml", "a: 1", "a: \ud800", "surrogate|cannot stand"),
        ("toml", "[a]\nb = 1", "[a]\nb = ", "line 2|its end"),
        ("toml", "a = 1", "a = 'x", "line|its end"),
        ("bash", "for f in *.txt; do\n  echo \"$f\" | wc -l\ndone", "echo a\nif [ 1 ]; then echo", "line"),
        ("sh", "ls -la && cat <<EOF\nx\nEOF", "echo 'a", "line 1"),
        ("sql", "SELECT 1; DELETE FROM a -- x", "SELEC 1", "as postgres"),
        ("postgres", "SELECT 1", "SELECT '\\' 1", "as postgres"),
    ],
)
def test_what_parses_passes_and_what_does_not_is_seen_where_it_stands(language, good, bad, where):
    assert seen(block(language, good)) == []
    text = "Grüße 🎉\n" + block(language, bad)
    [found] = seen(text)
    assert (found.code, text[found.start : found.end]) == ("unparsed", f"{bad}\n")
    assert re.search(where, found.detail)


@pytest.mark.parametrize("text", ["print 1", "```\nprint 1\n```", "```rust\nprint 1\n```", "`print 1`", ""])
def test_what_is_in_no_language_that_is_known_is_not_looked_at(text):
    assert seen(text) == []


def test_only_the_languages_that_a_rule_names_are_looked_at():
    text = block("python", "print 1") + block("json", "{") + block("sql", "SELEC")
    assert [one.path for one in seen(text, "json")] == ["json"]
    assert [one.path for one in CODE.make(Code())(Subject(text))] == ["python", "json"]


def test_sql_is_read_in_the_dialect_that_a_rule_names():
    text = block("sql", "SELECT `a` FROM `b`")
    assert seen(text, "sql", sql_dialect="mysql") == []
    assert [one.detail for one in seen(text, "sql")] == ["a block of sql does not parse (as postgres)"]
    with pytest.raises(ValueError, match="no dialect"):
        seen(text, "sql", sql_dialect="x")


def test_an_open_block_is_looked_at_to_its_end():
    assert [one.code for one in seen("```json\n{")] == ["unparsed"]


def test_no_detail_shows_the_code():
    for language in ALL:
        assert "private" not in str([one.detail for one in seen(block(language, "private ' private \" ( { : private"))])


BOMBS = {
    "python": ["(" * 50_000, "[" * 199 + "]" * 199, "-" * 90_000 + "1", "not " * 20_000 + "1", "1" + "+1" * 40_000, "a" + ".b" * 40_000,
               "a" + "[0]" * 30_000, "lambda:" * 12_000 + "1", "1" + "**1" * 30_000, "if a: b\n" + "elif a: b\n" * 9_000, "9" * 90_000,
               "\n".join(" " * i + "if a:" for i in range(400)), "x if y else " * 8_000 + "1", "f'{" * 20_000, "a" + "()" * 40_000],
    "json": ["[" * 90_000, '{"a":' * 15_000, "9" * 90_000],
    "yaml": ["[" * 90_000, "- " * 40_000, "? " * 40_000, "{a: " * 20_000, "&a " * 30_000, "a: &a [" + "*a," * 20_000, "!" * 90_000],
    "toml": ["a = " + "[" * 90_000, "a = " + "{a=" * 20_000, ".".join("a" * 4_900) + " = 1", "[" + ".".join("a" * 4_900) + "]",
             "a = 1\n" * 1_600, "a = '''" + "'" * 9_900, "a = " + "[" * 9_900, "a = " + "{a=" * 3_000],
    "bash": ["(" * 19_000, "$(" * 9_000, "if " * 6_000, "{ " * 9_000, "'" * 19_001, "<<a " * 4_000, "`" * 19_001, "${" * 9_000],
    "sql": ["(" * 19_000, "SELECT * FROM a " + "JOIN b " * 900],
}  # fmt: skip


@pytest.mark.parametrize(("language", "code"), [(language, code) for language, codes in BOMBS.items() for code in codes])
def test_deep_and_long_code_ends_in_time_with_a_finding_or_unjudged(language, code, cpu_at_most):
    with cpu_at_most(5):
        try:
            assert {one.code for one in seen(block(language, code))} <= {"unparsed"}
        except Unjudged as error:
            assert str(error)  # noqa: PT017 - which of the two it is depends on the interpreter


def test_deep_python_ends_with_an_error_and_not_with_the_process_in_a_thread_too():
    program = (
        "import threading\nfrom gateway.validators.code import CODE, Code\nfrom gateway.validators.validator import Subject, Unjudged\n"
        "check = CODE.make(Code())\ndef run():\n"
        "    for code in ('-' * 90000 + '1', 'not ' * 20000 + '1', '1' + '+1' * 40000, 'a' + '.b' * 40000, 'lambda:' * 12000 + '1'):\n"
        "        try: list(check(Subject('```python\\n' + code + '\\n```')))\n"
        "        except Unjudged: pass\n    print('alive')\n"
        "one = threading.Thread(target=run); one.start(); one.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n")


@pytest.mark.parametrize(("language", "most"), [("python", 100_000), ("toml", 10_000), ("bash", 20_000), ("sql", 20_000)])
def test_code_beyond_the_limit_is_unjudged(language, most):
    with pytest.raises(Unjudged, match=f"judged up to {most}"):
        seen(block(language, "x" * most))


literals = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=8)


@given(literals)
def test_what_python_writes_of_a_value_parses(value):
    assert seen(f"```python\n{value!r}\n```", "python") == []
