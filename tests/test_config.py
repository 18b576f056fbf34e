"""The settings as a whole: what has to hold between subjects."""

from __future__ import annotations

import pytest

from gateway.config import Settings
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
