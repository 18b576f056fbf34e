"""How long what is kept: spans, defaults, what compliance asks for, and what cannot be meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Settings
from gateway.errors import FileProblems
from gateway.retention import DAY_US, FLOOR_DAYS, SPAN_US, Cutoffs, Retention, span_us
from gateway.settings_sources import read

NOW = 1_790_000_000_000_000


def test_texts_are_kept_for_thirty_days_and_records_for_four_hundred_unless_told_otherwise():
    assert Settings().cutoffs(NOW) == Cutoffs(NOW - 30 * DAY_US, NOW - 400 * DAY_US)


def test_the_ai_act_keeps_both_for_at_least_184_days():
    assert Settings(compliance="eu-ai-act").cutoffs(NOW) == Cutoffs(NOW - 184 * DAY_US, NOW - 400 * DAY_US)


def test_for_ever_is_never():
    assert Settings(retention=Retention(bodies="forever", decisions="forever")).cutoffs(NOW) == Cutoffs(None, None)
    assert Settings(retention=Retention(bodies="1h", decisions="forever")).cutoffs(NOW) == Cutoffs(NOW - SPAN_US["h"], None)


@given(st.integers(1, 999_999), st.sampled_from(sorted(SPAN_US)))
def test_a_span_is_a_number_of_its_unit(number, unit):
    assert span_us(f"{number}{unit}") == number * SPAN_US[unit]


@pytest.mark.parametrize("text", ["", "d", "30", "30 d", "-1d", "0d", "1.5d", "30D", "1w", "٣d", "1000000d", "+3d", "30dd"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="write a number and m, h or d"):
        Retention(bodies=text)


@given(st.integers(1, 183), st.sampled_from(["bodies", "decisions"]))
def test_what_is_shorter_than_compliance_asks_is_refused_and_the_floor_is_named(days, name):
    short = {"bodies": "forever", "decisions": "forever", name: f"{days}d"}
    with pytest.raises(ValueError, match=f"retention.{name} is {days}d, but compliance eu-ai-act asks for at least 184d"):
        Settings(retention=Retention(**short), compliance="eu-ai-act")


def test_the_floor_itself_is_enough():
    kept = Retention(bodies="184d", decisions="184d").kept_us("eu-ai-act")
    assert kept == (FLOOR_DAYS["eu-ai-act"] * DAY_US,) * 2


@pytest.mark.parametrize(("bodies", "decisions"), [("31d", "30d"), ("forever", "30d"), ("auto", "29d")])
def test_texts_cannot_outlive_their_records(bodies, decisions):
    with pytest.raises(ValueError, match="a body goes with its record"):
        Settings(retention=Retention(bodies=bodies, decisions=decisions))


def test_the_file_says_where_the_mistake_is(tmp_path: Path):
    file = tmp_path / "tollhouse.yaml"
    file.write_text("tollhouse: 1\nretention:\n  bodies: 3 weeks\n")
    with pytest.raises(FileProblems, match=r"tollhouse.yaml:3:.*'3 weeks' is no span of time"):
        read(file, {})
    file.write_text("tollhouse: 1\ncompliance: eu-ai-act\nretention: {bodies: 7d}\n")
    with pytest.raises(FileProblems, match="raise it to 184d"):
        read(file, {})


def test_what_was_read_is_read_again_from_its_own_dump(tmp_path: Path):
    file = tmp_path / "tollhouse.yaml"
    file.write_text("tollhouse: 1\ncompliance: eu-ai-act\nheads: {to: 's3://bucket/a/b', endpoint: 'https://s3.example.com'}\n")
    settings = read(file, {})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("place", ["", "here", "file:relative", "http://example.com", "s3://", "s3://Bucket/x", "s3://b"])
def test_a_place_for_heads_must_be_one_that_can_be_written(place):
    with pytest.raises(ValueError, match=re.escape("write stdout, file:/path or s3://bucket/prefix")):
        Settings(heads={"to": place})


@pytest.mark.parametrize(
    "heads",
    [{"to": "stdout", "endpoint": "https://s3.example.com"}, {"region": "eu-central-1"}, {"to": "s3://bucket", "endpoint": "http://example.com"}],
)
def test_an_endpoint_is_for_s3_and_encrypted(heads):
    with pytest.raises(ValueError, match=r"s3://|https://"):
        Settings(heads=heads)
