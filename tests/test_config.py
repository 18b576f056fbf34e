"""The settings as a whole: what has to hold between subjects."""

from __future__ import annotations

import pytest

from gateway.config import Settings
from gateway.errors import FileProblems
from gateway.settings_sources import read


def test_settings_survive_the_way_to_a_worker():
    settings = read(None, {"OPENAI_API_KEY": "k"})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("same", ["name", "issuer"])
def test_two_issuers_that_could_be_taken_for_each_other_are_refused(same):
    told = {"audience": "a", "keys": "https://login.example.org/jwks", "agents": {"agent": "azp"}}
    one, other = {"name": "one", "issuer": "https://one.example", **told}, {"name": "other", "issuer": "https://other.example", **told}
    assert len(Settings.model_validate({"issuers": [one, other]}).issuers) == 2
    with pytest.raises(ValueError, match=f"two issuers have the same '{same}'"):
        Settings.model_validate({"issuers": [one, {**other, same: one[same]}]})


@pytest.mark.parametrize(
    ("line", "offer"),
    [
        ("providers: {}", "upstreams"),
        ("model_list: []", "upstreams"),
        ("port: 8080", "listen"),
        ("redis: redis://localhost", "state"),
        ("otel: {}", "telemetry"),
        ("log_level: debug", "log"),
        ("keys: true", "required"),
        ("storing: off", "metadata"),
        ("durability: fsync", "commit"),
        ("budgets: [{id: a, per: team, of: usd, max: 5, window: day}]", "money"),
        ("budgets: [{id: a, per: team, of: money, max: 5, window: day, action: block}]", "hard"),
    ],
)
def test_what_other_products_call_a_setting_is_met_with_our_word(tmp_path, line, offer):
    file = tmp_path / "tollhouse.yaml"
    file.write_text(f"tollhouse: 1\n{line}\n")
    with pytest.raises(FileProblems, match=rf"tollhouse\.yaml:2:.*did you mean '{offer}'\?"):
        read(file, {})


@pytest.mark.parametrize("host", ["a.example.com", "*.Example.com", "*", "gs://Bucket", "s3://my-bucket", "http://example.com", "::1"])
def test_hosts_of_media_are_read_without_regard_to_capitals(host):
    assert Settings.model_validate({"remote_media": [host]}).remote_media == [host.lower()]


@pytest.mark.parametrize("odd", ["https://x.com/", "x.com/a", "x.com:8080", "*x.com", "x.*", "data:", "", "x.com ", "[::1]"])
def test_what_could_never_be_the_host_of_a_medium_is_refused(odd):
    with pytest.raises(ValueError, match="is no host that media come from; write images"):
        Settings.model_validate({"remote_media": [odd]})
