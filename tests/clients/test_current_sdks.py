"""The SDKs as an agent installs them today, in an environment of their own, unmodified but for base URL and key."""

import pytest

from tests.clients.warm import Warm

SDKS = ["openai", "responses", "anthropic", "google"]
CALLS = {"openai": "tool_calls", "responses": "calls", "anthropic": "tool_use", "google": "calls"}
ENDED = {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "google": "STOP"}
LOOKED_UP = ["look_up", {"city": "Bern"}]


@pytest.fixture(scope="module")
def sdks(sdk_python, bare):
    with Warm(sdk_python, ("openai", "anthropic", "google.genai"), bare) as warm:
        yield warm


@pytest.fixture
def drive(sdks, tap, key):
    def run(sdk: str, model: str) -> dict:
        url = f"{tap.url}/v1" if sdk in ("openai", "responses") else tap.url
        return sdks.saw(f"drive_{sdk}.py", url, key, model, f"clients-{sdk}-{model}")

    return run


@pytest.mark.parametrize("sdk", SDKS)
def test_an_allowed_call_makes_the_whole_round(drive, sdk):
    seen = drive(sdk, "allowed")
    assert int(seen["version"].split(".")[0]) == {"openai": 3, "responses": 3, "anthropic": 2, "google": 3}[sdk]
    for name, loop in seen["loops"].items():
        assert loop == {"ran": [LOOKED_UP], "finishes": [CALLS[sdk], ENDED[sdk]], "text": "It is sunny in Bern."}, name


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("model", ["denied", "denied-by-rule"])
def test_a_denied_call_becomes_our_text_and_a_normal_end(drive, tap, sdk, model):
    for name, loop in drive(sdk, model)["loops"].items():
        assert (loop["ran"], loop["finishes"]) == ([], [ENDED[sdk]]), name
        assert "NOT executed" in loop["text"], name
    assert b"MARK-" not in tap.received


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("model", ["one-of-two", "one-of-two-mixed"])
def test_of_two_calls_the_denied_one_disappears_and_the_other_runs(drive, tap, sdk, model):
    for name, loop in drive(sdk, model)["loops"].items():
        assert (loop["ran"], loop["finishes"]) == ([LOOKED_UP], [CALLS[sdk], ENDED[sdk]]), name
    assert b"NOT executed" in tap.received
    assert b"MARK-" not in tap.received
