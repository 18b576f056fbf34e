"""How values are shown: money that is unknown is not zero, text that steers is seen, an address keeps what it does not change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.face import rendering

NOW = "2026-11-21T12:00:00Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), ("0", "$0.00"), ("12.5", "$12.50"), ("0.000250000", "$0.00025"), (1234.5, "$1,234.50"), (0.3, "$0.30")]
)
def test_money(value, text) -> None:
    assert rendering.money(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-21T11:59:30Z", "30 s ago"),
        ("2026-11-21T11:00:00", "1 h ago"),
        ("2026-11-21T12:05:00Z", "in 5 min"),
        ("2026-11-11T12:00:00Z", "10 d ago"),
        (None, ""),
    ],
)
def test_how_long_ago(value, text) -> None:
    assert rendering.when(value, NOW) == text


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0, "0 µs"), (999, "999 µs"), (1500, "1.5 ms"), (2_500_000, "2.50 s")])
def test_spans_of_time(value, text) -> None:
    assert rendering.ms(value) == text


def test_an_address_keeps_what_is_not_changed_and_drops_what_is_nothing() -> None:
    assert rendering.query({"q": "a b&c", "days": "7"}, days=None, before="x") == "?q=a+b%26c&before=x"
    assert rendering.query({}) == "?"


@given(st.text())
def test_whatever_a_template_writes_is_escaped_and_steers_nothing(text) -> None:
    written = rendering.environment().from_string("<p title='{{ d }}'>{{ d }}</p>").render(d=text)
    inner = written[10:-4]
    assert "<" not in inner.replace("'>", "", 1)
    assert not set(written) & set("\u202e\u2066\x00\x1b\u200b\ufeff")


def test_nothing_is_shown_for_none_and_lines_stay_lines() -> None:
    shown = rendering.environment().from_string("[{{ a }}][{{ b }}]").render(a=None, b="x\n\ty\r")
    assert shown == "[][x\n\ty\\r]"


def test_a_name_that_a_page_forgot_is_an_error() -> None:
    with pytest.raises(Exception, match="forgotten"):
        rendering.environment().from_string("{{ d.forgotten }}").render(d={})
