"""Who is told of what happens, as people write it."""

from __future__ import annotations

import pytest

from gateway.webhook_settings import Webhook

SECRET = {"env": "A"}


def test_one_who_is_told_hears_of_what_waits_and_nothing_else():
    assert Webhook(url="https://hooks.example/x", secret=SECRET).events == ["pending"]


def test_who_is_told_in_json_can_tell_who_sent_it():
    with pytest.raises(ValueError, match="format json needs a 'secret', so that the receiver can tell who sent it"):
        Webhook(url="https://hooks.example/x")
    assert Webhook(url="https://hooks.example/x", format="slack").secret is None


def test_what_signs_nothing_is_not_taken_for_what_does():
    with pytest.raises(ValueError, match="Slack is sent no signature; take 'secret' out"):
        Webhook(url="https://hooks.example/x", secret=SECRET, format="slack")


def test_a_url_that_is_written_out_is_encrypted_and_one_that_is_secret_is_only_named():
    with pytest.raises(ValueError, match="must be an https:// URL"):
        Webhook(url="http://hooks.example/x", secret=SECRET)
    assert Webhook(url="http://127.0.0.1:9/x", secret=SECRET).url == "http://127.0.0.1:9/x"
    assert Webhook(url={"file": "/run/secrets/hook"}, secret=SECRET).url.file == "/run/secrets/hook"


def test_somebody_who_hears_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 item"):
        Webhook(url="https://hooks.example/x", secret=SECRET, events=[])
