"""Agent frameworks as people install them, over every dialect they speak, unmodified but for base URL and key."""

import pytest

from tests.clients.warm import Warm

FRAMEWORKS = ["agents", "langchain"]
LOOKED_UP = ["look_up", {"city": "Bern"}]


@pytest.fixture(scope="module")
def frameworks(framework_python, bare):
    modules = ("agents", "langchain.agents", "langchain_anthropic", "langchain_google_genai", "langchain_openai")
    with Warm(framework_python, modules, bare) as warm:
        yield warm


@pytest.fixture
def drive(frameworks, tap, key):
    return lambda framework, model: frameworks.saw(f"drive_{framework}.py", tap.url, key, model)["loops"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_allowed_call_makes_the_whole_round(drive, framework):
    loops = drive(framework, "allowed")
    assert len(loops) == 4
    for name, loop in loops.items():
        assert loop == {"ran": [LOOKED_UP], "text": "It is sunny in Bern."}, name


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("model", ["denied", "denied-by-rule"])
def test_a_denied_call_becomes_our_text_and_a_normal_end(drive, tap, framework, model):
    for name, loop in drive(framework, model).items():
        assert loop["ran"] == [], name
        assert "NOT executed" in loop["text"], name
    assert b"MARK-" not in tap.received


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_of_two_calls_the_denied_one_disappears_and_the_other_runs(drive, tap, framework):
    for name, loop in drive(framework, "one-of-two").items():
        assert loop == {"ran": [LOOKED_UP], "text": "It is sunny in Bern."}, name
    assert b"MARK-" not in tap.received
