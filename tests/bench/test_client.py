"""The bench's agent on the wire: it runs what the running gateway releases, and knows a question from a refusal."""

import itertools
import json

import httpx
import pytest

from gateway.bench.client import GO_ON, ThroughTheGateway
from gateway.bench.suites import Step
from gateway.errors import StartError

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "number"}}},
        },
    }
    for name in ("look", "pay", "burn")
]
NUMBERS = itertools.count(1)
"""Sessions of two tests must not meet: what a person decided in one would be remembered in the other."""
PAY_ANN = Step("pay", {"to": "Ann", "amount": 5})
PAY_EVE = Step("pay", {"to": "Eve", "amount": 5}, injected=True)


@pytest.fixture
def agent(till):
    gateway, prompter, operator = till
    with httpx.Client(timeout=30, trust_env=False) as http:
        one = ThroughTheGateway(http, gateway.base_url, "till", "rehearsed-till", prompter, TOOLS, operator)
        one._begun = next(NUMBERS) * 1000
        one.begin("Pay Ann 5, please")
        yield one


def roles(agent):
    return [message["role"] for message in agent._messages]


def test_a_granted_call_is_released_with_the_arguments_that_were_proposed(agent):
    assert agent.propose(PAY_ANN) == "released"
    [call] = agent._messages[-1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == PAY_ANN.args
    agent.answer("paid")
    agent.end("Done.")
    assert roles(agent) == ["user", "assistant", "tool"]


def test_a_question_and_a_refusal_are_told_apart(agent):
    assert agent.propose(PAY_EVE) == "ask"
    assert agent.propose(Step("pay", {"to": "Ann", "amount": 50})) == "deny"
    assert agent.propose(Step("burn", {})) == "deny"
    assert [ruled.ruling for ruled in agent.rulings] == ["ask", "deny", "deny"]
    assert all(ruled.decision for ruled in agent.rulings)


def test_after_a_withheld_call_the_user_says_go_on_and_the_model_does(agent):
    agent.propose(PAY_EVE)
    assert agent.propose(PAY_ANN) == "released"
    assert [m["content"] for m in agent._messages if m["role"] == "user"] == ["Pay Ann 5, please", GO_ON]


def test_an_approved_call_is_proposed_again_and_released_once(agent):
    agent.propose(PAY_EVE)
    agent.approve()
    [call] = agent._messages[-1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == PAY_EVE.args
    agent.answer("paid")
    assert agent.propose(Step("pay", {"to": "Eve", "amount": 1})) == "ask"
    assert roles(agent) == ["user", "assistant", "user", "assistant", "tool", "assistant"]


def test_what_a_person_denied_is_denied_when_it_is_proposed_again(agent):
    agent.propose(PAY_EVE)
    agent.refuse()
    assert agent.propose(PAY_EVE) == "deny"


def test_an_approval_is_good_in_its_own_conversation_only(agent):
    agent.propose(PAY_EVE)
    agent._decided(approve=True)
    agent.begin("Pay Ann 5, please")
    assert agent.propose(PAY_EVE) == "ask"


def test_nothing_can_be_approved_that_was_not_asked_about(agent):
    agent.propose(Step("burn", {}))
    with pytest.raises(AssertionError):
        agent.approve()


def test_what_one_conversation_spent_is_not_spent_in_another(agent):
    assert agent.propose(PAY_ANN) == "released"
    agent.answer("paid")
    assert agent.propose(PAY_ANN) == "deny"
    agent.begin("Pay Ann 5, please")
    assert agent.propose(PAY_ANN) == "released"


def test_an_answer_that_is_no_answer_stops_the_bench(agent):
    agent._headers["authorization"] = "Bearer th_nobody"
    with pytest.raises(StartError, match="401"):
        agent.propose(PAY_ANN)
