"""Attempts on templates by classes: nothing is executed, what fills a template stays text, and time and memory are bounded.

Each attempt is tried in three ways: as the template itself, which is refused or says nothing but its own words; as a variable, which comes
out as it went in, through loops and filters too; and as a part of a kept prompt's file, where it is a problem with a place.
"""

# ruff: noqa: E501 - attempts stand as they are written

from __future__ import annotations

import contextlib
import json
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import FileProblems, GatewayError
from gateway.prompt.kept import read
from gateway.prompt.template import FILTERS, MOST_CHARACTERS, Defect, Template, TooLong
from gateway.prompt.variables import MOST_GIVEN, MOST_ITEMS

NAMES, LISTS = ("name", "vip", "items"), ("items",)
SECONDS, BYTES = 10.0, 96 * 1024 * 1024
"""For one template or rendering, on a busy machine; an attempt that gets through takes minutes and gigabytes, or never ends."""
DUNDERS = ("__class__", "__globals__", "__init__", "__mro__", "__subclasses__", "__builtins__", "__import__", "__getattribute__", "format_map")
OBJECTS = ("name", "items", "''", "[]", "()", "{}", "7", "true", "self", "loop", "cycler", "joiner", "lipsum", "namespace", "config",
           "request", "g", "session", "url_for", "get_flashed_messages", "range", "dict", "varargs", "caller", "super", "undefined")  # fmt: skip
ATTEMPTS = {
    "attributes": [f"{{{{ {of}.{name} }}}}" for of in OBJECTS for name in DUNDERS],
    "subscripts": [f"{{{{ {of}['{name}'] }}}}" for of in OBJECTS for name in DUNDERS[:3]] + ["{{ items[-1] }}", "{{ name[::-1] }}"],
    "names in disguise": ["{{ name['__cla' ~ 'ss__'] }}", "{{ name['\\x5f\\x5fclass\\x5f\\x5f'] }}", "{{ name['__cla' 'ss__'] }}",
                          "{{ (name)|attr('\\x5f\\x5fclass') }}", "{{ name|attr(['_', '_']|join) }}"],
    "filters": [f"{{{{ name|{each} }}}}" for each in ("attr('x')", "map('upper')", "select", "groupby('x')", "tojson", "pprint", "xmlattr",
                "urlize", "format", "safe", "list", "batch(2)", "random", "sort", "default('x')", "string", "int", "filesizeformat", "wordwrap",
                "indent(1000000)", "center(1000000000)", "replace('', 'x')", "truncate", "striptags", "eval", "upper.__class__")],
    "tests": [f"{{{{ name is {each} }}}}" for each in ("defined", "callable", "mapping", "sameas(name)", "eq(1)", "filter", "in(items)")],
    "globals": [f"{{{{ {each} }}}}" for each in OBJECTS if each.isidentifier() and each not in ("name", "items", "true")]
    + [f"{{{{ {each}() }}}}" for each in ("range", "dict", "cycler", "joiner", "namespace", "lipsum", "open", "eval", "print")],
    "format strings": ["{{ '%s'|format(name) }}", "{{ '%d' % 7 }}", "{{ '{0}'.format(name) }}", "{{ name.format(self=self) }}",
                       "{{ '{0.__class__}'.format_map({}) }}", "{{ name % () }}", "{{ ('%' ~ '1000000000' ~ 's') % name }}"],
    "statements": ["{% set a = name %}", "{% set ns.x = 1 %}", "{% import name as x %}", "{% from name import x %}", "{% include name %}",
                   "{% extends name %}", "{% block x %}{% endblock %}", "{% macro x() %}{% endmacro %}", "{% call x() %}{% endcall %}",
                   "{% filter upper %}x{% endfilter %}", "{% with a = 1 %}{% endwith %}", "{% autoescape false %}{% endautoescape %}",
                   "{% do name %}", "{% debug %}", "{% trans %}{% endtrans %}", "{% break %}", "{% continue %}"],
    "much out of little": ["{{ 'x' * 1000000000 }}", "{{ name * 1000000000 }}", "{{ items * 1000000 }}", "{{ 9 ** 9 ** 9 }}", "{{ 1 << 99999999 }}",
                           "{{ range(999999999)|list }}", "{{ " + "9" * 5000 + " }}", "{{ 0x" + "f" * 5000 + " }}", "{{ 1e999 }}",
                           "{{ name" + "|json" * 60 + " }}", "{{ 'x'" + "|json" * 60 + " }}", "{{ items" + "|join|json" * 30 + " }}",
                           "{% if (name|json if vip else name)|json %}{% endif %}", "{{ [" + "name," * 4000 + "]|join }}", "{{ (name, name) }}",
                           "{{ items|join('" + "x" * 65 + "') }}"],
    "loops": ["{% for a in range(999999999) %}x{% endfor %}", "{% for a in items %}{% for b in items %}x{% endfor %}{% endfor %}",
              "{% for a in [1, 2] %}{% endfor %}", "{% for a in name %}{% endfor %}", "{% for a in items|join %}{% endfor %}",
              "{% for a in items %}{{ items|join }}{% endfor %}", "{% for a in items if items|join %}x{% endfor %}",
              "{% for a in (items if vip else items) %}{% endfor %}", "{% for a, b in items %}{% endfor %}"],
    "recursion": ["{% for a in items recursive %}{{ loop(items) }}{% endfor %}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                  "{{ self.body() }}", "{% if vip %}" * 120 + "{% endif %}" * 120, "{{ " + "(" * 2000 + "name" + ")" * 2000 + " }}",
                  "{{ " + "not " * 2000 + "vip }}", "{{ name" + "|upper" * 2000 + " }}", "{{ vip" + " and vip" * 2000 + " }}",
                  "{{ " + "name if vip else " * 200 + "name }}"],
    "unicode": ["{{ name\u2024__class__ }}", "{{ ｎame }}", "{{ na\u200bme }}", "{{ \u202ename }}", "{{ nаme }}", "{{ __ｃlass__ }}",
                "{% for ｎame in items %}{{ name }}{% endfor %}", "{% for ｖip in items %}x{% endfor %}", "{{ '\\ud800' }}", "{{ name\u00b7upper }}",
                "{{ ﬁ }}", "{{ K }}", "{{ name |upper\u037e }}"],
    "broken": ["{{", "{%", "{# x", "{{ }}", "{{ name }", "{% if %}", "{% endif %}", "{% for %}", "{{ name name }}", "{{ 'x }}", "{% raw %}x"],
}  # fmt: skip
REFUSED = [pytest.param(text, id=f"{kind}-{at}") for kind, texts in ATTEMPTS.items() for at, text in enumerate(texts)]
ALL = [text for texts in ATTEMPTS.values() for text in texts]
SHOWN = [
    "｛｛ name ｝｝", "{ { name } }", "${name}", "#{name}", "<%= name %>", "%(name)s", "{name}", "{0.__class__}", "$name", "\\{\\{name\\}\\}",
    "{\u200b{ name }}", "# for x in items", "%% include x", "{{ '{{ name }}' }}", "{% raw %}{{ name }}{% endraw %}",
]  # fmt: skip
"""What is no template, or says what it shows: other notations, look-alikes, and quoted ones."""


def bounded(act):
    tracemalloc.start()
    began = time.process_time()
    try:
        return act()
    finally:
        spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert spent < SECONDS
        assert peak < BYTES


@pytest.mark.parametrize("text", REFUSED)
def test_a_template_that_asks_for_more_is_refused_in_bounded_time(text):
    with pytest.raises(Defect) as caught:
        bounded(lambda: Template(text, NAMES, LISTS))
    assert caught.value.message
    assert 0 <= caught.value.offset <= len(text)


@pytest.mark.parametrize("text", ["{{ name.__class__ }}", "{{ " + "9" * 5000 + " }}", "{% if vip %}" * 120 + "{% endif %}" * 120, "{{"])
def test_in_a_file_it_is_a_problem_with_its_place(text):
    head = "---\nvariables: {name: {type: string}, vip: {type: boolean}}\n---\n"
    with pytest.raises(FileProblems) as caught:
        read("support", (head + text).encode())
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == ("support.md", 4)


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_no_template_says_what_it_shows(text):
    shown = Template(text, NAMES, LISTS).render({"name": "SECRET", "vip": True, "items": []})
    assert "SECRET" not in shown
    assert shown in (text, "{{ name }}")


def test_every_attempt_in_a_variable_stays_text_also_through_loops_and_filters():
    template = Template("{{ name }}\0{% for x in items %}{{ x }}{% endfor %}\0{{ items|join('') }}\0{{ name|json }}\0{{ name|trim }}", NAMES, LISTS)
    for text in (*ALL, *SHOWN):
        said = template.render({"name": text, "items": [text, text]}).split("\0")
        assert said == [text, text * 2, text * 2, json.dumps(text, ensure_ascii=False), text.strip()]


@given(st.lists(st.sampled_from([*ALL, "{{ name }}", "{{", "}}", "{%", "%}", "\\", "'", '"', "\n"]), max_size=6).map("".join))
@settings(max_examples=25)
def test_a_filled_prompt_that_fills_another_is_text_there_too(text):
    """Nested rendering: what came out of one prompt is a value of the next, and never looked at as a template."""
    inner = read("inner", b"---\nvariables: {said: {type: string, max_length: 200000}}\n---\nA: {{ said }}")
    outer = read("outer", b"---\nvariables: {said: {type: string, max_length: 200000}}\n---\nB: {{ said }}")
    once = inner.text(inner.values({"said": text}))
    assert outer.text(outer.values({"said": once})) == f"B: A: {text}"


@given(st.text(st.sampled_from("{}%#_-.|()[]'\" \nabnameitemsvip0forinend"), max_size=60))
@settings(max_examples=150)
def test_whatever_is_written_is_refused_or_rendered_and_never_breaks_anything_else(text):
    unordered = r"not supported between|argument of type|requires string as left operand"
    with contextlib.suppress(Defect):
        template = bounded(lambda: Template(text, NAMES, LISTS))
        try:
            said = template.render({"name": "N", "vip": True, "items": ["I"]})
        except TypeError as error:  # values that have no order were compared
            said = str(error) if re.search(unordered, str(error)) else None
        assert isinstance(said, str)


@pytest.mark.parametrize("filtered", ["", *(f"|{each}" for each in sorted(FILTERS))])
@pytest.mark.parametrize("shape", ["{{{{ name{0} }}}}", "{{% for x in items %}}{{{{ x{0} }}}}{{% endfor %}}", "{{{{ items{0} }}}}"])
def test_the_largest_values_through_the_most_parts_are_bounded(filtered, shape):
    part = shape.format(filtered)
    template = Template(part * (1 if "for" in shape else 300), NAMES, LISTS)
    values = {"name": '"\\' * (MOST_GIVEN // 8), "items": ['"\\' * (MOST_GIVEN // MOST_ITEMS // 8)] * MOST_ITEMS}

    def render() -> int:
        try:
            return len(template.render(values))
        except TooLong:
            return 0

    assert bounded(render) <= MOST_CHARACTERS


def test_values_of_many_kinds_of_prompts_are_refused_before_they_are_filled_in():
    kept = read("support", b"---\nvariables: {name: {type: string}, items: {type: list}}\n---\n{{ name }}{{ items|join }}")
    for given_ in ({"name": "x", "items": [["deep"]]}, {"name": {"__class__": 1}, "items": []}, {"name": "x", "items": ["i"] * 1001},
                   {"name": "x" * 20_001, "items": []}, {"name": "x", "items": [], "self": "y"}, {"name": "x", "items": ["y" * 20_001]}):  # fmt: skip
        with pytest.raises(GatewayError):
            kept.values(given_)
