"""What a template may say, and that nothing that fills it is ever more than text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError

from gateway.prompt import template as templates
from gateway.prompt.template import MOST_CHARACTERS, Defect, Template, TooLong

NAMES, LISTS = ("name", "vip", "items"), ("items",)

ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ name.__init__.__globals__ }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}",
    "{{ (name|attr)('__class__') }}",
    "{{ items|map(attribute='__class__') }}",
    "{{ items|map('upper')|list }}",
    "{{ self.__init__ }}",
    "{{ self }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ joiner() }}",
    "{{ namespace(a=1) }}",
    "{{ dict(a=1) }}",
    "{{ range(1000000000)|list }}",
    "{{ loop.index }}",
    "{% for item in items %}{{ loop.index }}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ 10 ** 1000000 }}",
    "{{ '%s' % name }}",
    "{{ '%1000000000s' % name }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ 'a' ~ name }}",
    "{{ 1 + 1 }}",
    "{{ -vip }}",
    "{{ name.format(x=1) }}",
    "{{ name is defined }}",
    "{{ name|safe }}",
    "{{ name|format(name) }}",
    "{{ name|replace('a', 'b') }}",
    "{{ name|e }}",
    "{{ items[0] }}",
    "{{ items[0:1] }}",
    "{{ {'a': name} }}",
    "{{ items|join(name) }}",
    "{{ items|join(d='x') }}",
    "{{ items|join(*items) }}",
    "{{ items|join(**name) }}",
    "{{ items|join('" + "x" * 65 + "') }}",
    "{{ name|upper('x') }}",
    "{% set x = name %}",
    "{% set x %}y{% endset %}",
    "{% macro m() %}{% endmacro %}",
    "{% call name() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% import 'os' as os %}",
    "{% from 'os' import popen %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'x' %}",
    "{% block b %}{% endblock %}",
    "{% with x = name %}{% endwith %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% do name.append(1) %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}",
    "{% for x in range(9) %}{% endfor %}",
    "{% for x in name %}{% endfor %}",
    "{% for x in [1, 2] %}{% endfor %}",
    "{% for a, b in items %}{% endfor %}",
    "{% for name in items %}{% endfor %}",
    "{% for x in items recursive %}{{ loop(x) }}{% endfor %}",
    "{% for x in items %}{% for y in items %}{% endfor %}{% endfor %}",
    "{% for x in items %}{{ name|upper }}{% endfor %}",
    "{% for x in items %}{% endfor %}{{ x }}",
    "{{ name if vip }}",
    "{{ name",
    "{% if vip %}",
    "{{ name }} }} {% endif %}",
    "{{ undeclared }}",
    "{{ name|nothing }}",
)
"""Templates that ask for more than filling in: sandbox escapes as they are published, and what makes much out of little."""


@pytest.mark.parametrize("text", ESCAPES)
def test_a_template_that_asks_for_more_than_filling_in_is_refused_with_its_place(text):
    with pytest.raises(Defect) as caught:
        Template(f"Hello.\n{text}\n", NAMES, LISTS)
    assert caught.value.offset >= len("Hello.\n")
    assert caught.value.message


HOSTILE = (
    *ESCAPES, "{{", "}}", "{%", "%}", "{#", "#}", "# x", "%s%n%x", "{0.__class__}", "${7*7}", "<%= 7 %>", "\\", "{{ 7*7 }}", "__class__",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_a_template_in_a_variable_stays_text(text):
    template = Template("<{{ name }}|{% for x in items %}{{ x }}{% endfor %}|{{ items|join('') }}>", NAMES, LISTS)
    assert template.render({"name": text, "items": [text]}) == f"<{text}|{text}|{text}>"


@given(st.text(), st.lists(st.text(), max_size=5))
def test_every_text_comes_out_as_it_went_in(text, items):
    template = Template("{{ name }}\0{% for x in items %}{{ x }}\0{% endfor %}", NAMES, LISTS)
    assert template.render({"name": text, "items": items}) == "\0".join([text, *items, ""])


def test_values_that_are_no_text_are_written_as_json_has_them():
    template = Template("{{ name }} {{ vip }} {{ items }} {{ items|json }} {{ items|length }}", NAMES, LISTS)
    assert template.render({"name": 0.5, "vip": True, "items": ["a", 1]}) == '0.5 true ["a",1] ["a",1] 2'


def test_filters_say_what_they_say():
    shown = " ".join(f"{{{{ name|{each} }}}}" for each in ("upper", "lower", "capitalize", "trim", "length"))
    template = Template(shown + " {{ vip|length }} {{ vip|join }}", NAMES)
    assert template.render({"name": "aB ", "vip": 12}) == "AB  ab  Ab  aB 3 2 12"


def test_choosing_and_listing():
    text = "{% if vip and not name == 'x' %}\nVIP {{ name if vip else 'nobody' }}\n{% elif name in ['x', 'y'] %}\nno\n{% endif %}\n"
    text += "{% for x in items if x != 'b' %}\n- {{ x|upper }}\n{% else %}\nnone\n{% endfor %}"
    template = Template(text, NAMES, LISTS)
    assert template.render({"name": "ann", "vip": True, "items": ["a", "b"]}) == "VIP ann\n- A\n"
    assert template.render({"name": "x", "vip": True, "items": []}) == "no\nnone\n"


@pytest.mark.parametrize("text", ["{{ name.upper }}", "{{ name.upper() }}", "{{ name['upper'] }}", "{{ call() }}"])
def test_behind_the_list_stands_the_sandbox(text):
    with pytest.raises((SecurityError, TypeError)):  # refused, or an undefined value that cannot be shown
        templates._ENVIRONMENT.from_string(text).render({"name": "x", "call": dict})


def test_raw_text_may_show_braces():
    assert Template("{% raw %}{{ name }}{% endraw %}", NAMES).render({}) == "{{ name }}"


def test_a_rendering_is_bounded():
    template = Template("{% for x in items %}{{ name }}{% endfor %}", NAMES, LISTS)
    with pytest.raises(TooLong):
        template.render({"name": "x" * 1024, "items": ["i"] * (MOST_CHARACTERS // 1024 + 1)})
    assert len(template.render({"name": "x" * 1024, "items": ["i"] * (MOST_CHARACTERS // 1024)})) == MOST_CHARACTERS


@pytest.mark.parametrize(
    "text", ["{{ name }}" * templates.MOST_NODES, "{% for x in items %}" + "{{ x }}" * templates.MOST_LOOPED + "{% endfor %}"]
)
def test_a_template_of_too_many_parts_is_refused(text):
    with pytest.raises(Defect, match="write less"):
        Template(text, NAMES, LISTS)


@pytest.mark.parametrize("text", ["{{ " + "(" * 3000 + "name" + ")" * 3000 + " }}", "{{ " + "not " * 3000 + "name }}"])
def test_deep_nesting_is_refused(text):
    with pytest.raises(Defect):
        Template(text, NAMES, LISTS)


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a\n  {{ nobody }}", 7), ("{{ name.nobody }}", 7), ("nobody {{ name }} {{ nobody }}", 21), ("{{ nobody }}{% if vip %}{% endif %}", 3),
     ("{% if nobody %}{% endif %}{{ name }}", 6), ("a\n\n{{ name['x'] }}", 10), ("{{ 7 % 2 }}", 5)],
)
def test_a_defect_stands_where_it_is(text, offset):
    with pytest.raises(Defect) as caught:
        Template(text, NAMES, LISTS)
    assert caught.value.offset == offset
