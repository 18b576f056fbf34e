"""The providers' own SDKs through the running gateway: allowed calls run, denied ones never arrive, and every loop ends by itself."""

import uuid

import pytest

SDKS = ["openai", "responses", "anthropic", "google"]
CALLS = {"openai": "tool_calls", "responses": "calls", "anthropic": "tool_use", "google": "calls"}
ENDED = {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "google": "STOP"}
LOOKED_UP = ["look_up", {"city": "Bern"}]


def decisions(gateway, session: str, count: int) -> list[tuple[str, bool]]:
    query = f"SELECT name, released FROM calls WHERE session = '{session}' ORDER BY decided_at, calls.index"
    return [(row["name"], row["released"]) for row in gateway.awaited(query, count)]


@pytest.fixture
def session():
    return f"s-{uuid.uuid4()}"


@pytest.mark.parametrize("sdk", SDKS)
def test_an_allowed_call_makes_the_whole_round(drive, gateway, session, sdk):
    for name, loop in drive(sdk, "allowed", session)["loops"].items():
        assert loop == {"ran": [LOOKED_UP], "finishes": [CALLS[sdk], ENDED[sdk]], "text": "It is sunny in Bern."}, name
    assert decisions(gateway, session, 4) == [("look_up", True)] * 4


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize(("model", "tool"), [("denied", "delete_all"), ("denied-by-rule", "send_money")])
def test_a_denied_call_becomes_our_text_and_a_normal_end(drive, gateway, tap, session, sdk, model, tool):
    for name, loop in drive(sdk, model, session)["loops"].items():
        assert (loop["ran"], loop["finishes"]) == ([], [ENDED[sdk]]), name
        assert "NOT executed" in loop["text"], name
        assert "never gets here" not in loop["text"], name
    assert b"NOT executed" in tap.received
    assert b"MARK-" not in tap.received
    assert decisions(gateway, session, 4) == [(tool, False)] * 4


@pytest.mark.parametrize("sdk", SDKS)
def test_where_a_policy_does_not_say_otherwise_the_model_is_told_and_the_agent_carries_on(drive, tap, session, steered_key, sdk):
    for name, loop in drive(sdk, "steered-twice", session, steered_key)["loops"].items():
        assert (loop["ran"], loop["finishes"], loop["text"]) == ([], [ENDED[sdk]], "I was refused twice, and leave it."), name
    assert b"NOT executed" not in tap.received
    assert b"MARK-" not in tap.received


@pytest.mark.parametrize("sdk", SDKS)
def test_a_granted_call_that_the_model_makes_instead_is_run(drive, gateway, tap, session, steered_key, sdk):
    for name, loop in drive(sdk, "steered", session, steered_key)["loops"].items():
        assert LOOKED_UP in loop["ran"], name
        assert loop["text"] == "It is sunny in Bern.", name
    assert b"MARK-" not in tap.received
    assert ("delete_all", False) in decisions(gateway, session, 4)


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("model", ["one-of-two", "one-of-two-mixed"])
def test_of_two_calls_the_denied_one_disappears_and_the_other_runs(drive, gateway, tap, session, sdk, model):
    for name, loop in drive(sdk, model, session)["loops"].items():
        assert (loop["ran"], loop["finishes"]) == ([LOOKED_UP], [CALLS[sdk], ENDED[sdk]]), name
        assert loop["text"] == "It is sunny in Bern.", name
    assert b"NOT executed" in tap.received
    assert b"MARK-" not in tap.received
    decided = decisions(gateway, session, 8)
    assert sorted(set(decided)) == sorted({("look_up", True), next(d for d in decided if not d[1])})


@pytest.mark.parametrize("sdk", SDKS)
def test_the_provider_never_sees_the_gateways_key(drive, provider, key, session, sdk):
    provider.reset()
    drive(sdk, "allowed", session)
    requests = provider.requests()
    assert len(requests) == 8
    assert key not in repr(requests)
    assert key.split("_")[-1] not in repr(requests)
