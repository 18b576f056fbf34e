"""Where data lies, as people write it."""

from __future__ import annotations

import re

import pytest

from gateway.storage_settings import Heads, JournalSettings, Snapshots, StateStore


@pytest.mark.parametrize("place", [None, "stdout", "file:/mnt/other/heads", "s3://bucket", "s3://bucket-1/some/prefix"])
def test_heads_go_to_a_place_that_is_known(place):
    assert Heads(to=place).to == place


@pytest.mark.parametrize("place", ["", "stderr", "file:", "file:relative", "/heads", "s3://B", "s3://bucket?x", "https://bucket"])
def test_another_place_for_heads_is_refused_with_those_that_are_known(place):
    with pytest.raises(ValueError, match=re.escape(f"'{place}' is no place for heads; write stdout, file:/path or s3://bucket/prefix")):
        Heads(to=place)


@pytest.mark.parametrize("more", [{"endpoint": "https://s3.example"}, {"region": "eu-central-1"}])
def test_what_is_said_of_s3_belongs_to_a_place_there(more):
    assert Heads(to="s3://bucket", **more)
    for place in (None, "stdout", "file:/x"):
        with pytest.raises(ValueError, match="'endpoint' and 'region' belong to a place that begins with s3://"):
            Heads(to=place, **more)


def test_heads_do_not_travel_in_clear_text():
    assert Heads(to="s3://bucket", endpoint="http://127.0.0.1:9000").endpoint == "http://127.0.0.1:9000"
    with pytest.raises(ValueError, match="must be an https:// URL"):
        Heads(to="s3://bucket", endpoint="http://s3.example")


def test_a_state_store_s_password_is_named_and_never_in_its_url():
    assert StateStore(url="redis://user@host:6379/0", password={"env": "A"}).password.env == "A"
    with pytest.raises(ValueError, match="must not hold a password"):
        StateStore(url="redis://user:hunter2@host:6379/0")


def test_an_authority_is_for_a_server_that_is_asked_by_tls():
    assert StateStore(url="rediss://host", ca="ca.pem").ca == "ca.pem"
    with pytest.raises(ValueError, match="'ca' is for rediss://"):
        StateStore(url="redis://host", ca="ca.pem")
    with pytest.raises(ValueError, match="1 character"):
        StateStore(url="rediss://host", ca="")


def test_a_journal_that_is_capped_has_room_for_a_mebibyte():
    assert JournalSettings(max_bytes=1024 * 1024).max_bytes == 1024 * 1024
    with pytest.raises(ValueError, match="greater than or equal to 1048576"):
        JournalSettings(max_bytes=1024 * 1024 - 1)


def test_at_least_one_snapshot_stays():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Snapshots(keep=0)
