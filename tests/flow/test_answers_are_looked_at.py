"""Every answer is looked at, also of agents without rules and without policies; what is found is told and nothing is withheld."""

import pytest

CARD = "4111 1111 1111 1111"
NAMES = ("chat", "messages", "responses", "gemini")
POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\n"


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


def rows(ended):
    """Those that passed and that no rule asked stand with the exchange."""
    looked = [each.partition("/")[0] for each in ended.exchange.looked.split()]
    passed = dict.fromkeys(looked, ("default", "passed", ended.exchange.looked_before, "warn"))
    told = {row.validator: (row.rule, row.outcome, row.before, row.effect) for row in ended.ran}
    assert not passed.keys() & told.keys()
    return passed | told


@pytest.mark.parametrize("name", NAMES)
def test_what_no_rule_asks_for_is_told_and_not_withheld(name, stream, start, all_upstreams, wires, answer):
    wire, at = wires[name], start({"p.yaml": POLICY}, upstreams=all_upstreams)
    answer(wire, ["Your card is ", CARD, "."], stream=stream)
    assert wire.ask(at.url, stream)[0] == f"Your card is {CARD}."
    ended = at.ended()[0]
    before = not stream
    assert rows(ended) == {
        "secret": ("default", "passed", before, "warn"),
        "card": ("default", "hit", before, "warn"),
        "iban": ("default", "passed", before, "warn"),
        "text_calls": ("default", "passed", before, "warn"),
    }
    (one,) = ended.findings
    assert (one.validator, one.code, one.action, one.rule, len(one.span_hash)) == ("card", "found", "none", "default", 32)
    assert CARD not in str(at.records())


def test_an_agent_without_policies_is_looked_at_too(stream, start, all_upstreams, wires, answer):
    at = start(upstreams=all_upstreams)
    answer(wires["chat"], [CARD], stream=stream)
    assert wires["chat"].ask(at.url, stream)[0] == CARD
    assert rows(at.ended()[0])["card"] == ("default", "hit", not stream, "warn")


def test_the_settings_say_what_is_looked_for(start, all_upstreams, wires, answer):
    for names, wanted in ((["email"], {"email", "text_calls"}), ([], {"text_calls"})):
        at = start(upstreams=all_upstreams, looked_at=names)
        answer(wires["chat"], ["me@example.com"], stream=False)
        wires["chat"].ask(at.url, False)
        assert set(rows(at.ended()[0])) == wanted


def test_an_answer_that_did_not_end_is_not_on_record_as_looked_at(start, all_upstreams, wires, provider):
    at = start(upstreams=all_upstreams)
    provider.answer = provider.sse(*wires["chat"].stream([CARD])[:2], end=False)
    with at.client() as client:
        client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": True})
    assert rows(at.ended()[0]) == {}


LONG = ["word " * 1000] * 60


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_of_which_not_all_is_kept_has_not_passed(name, stream, start, all_upstreams, wires, answer):
    wire, at = wires[name], start({"p.yaml": POLICY}, upstreams=all_upstreams)
    answer(wire, LONG, stream=stream)
    assert wire.ask(at.url, stream)[0] == "".join(LONG)
    ended = at.ended()[0]
    assert {outcome for _, outcome, _, _ in rows(ended).values()} == {"unevaluated"}
    assert {finding.code for finding in ended.findings} == {"unevaluated"}


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_that_cannot_see_all_of_an_answer_withholds_it(name, stream, start, all_upstreams, wires, answer):
    rule = "rules:\n- {id: brief, at: output, stream: buffer, on_deny: explain, validate: [{packages: {allow: ['pip:requests']}}]}\n"
    wire, at = wires[name], start({"p.yaml": POLICY + rule}, upstreams=all_upstreams)
    answer(wire, LONG, stream=stream)
    assert "word word" not in wire.ask(at.url, stream)[0]
    ended = at.ended()[0]
    assert ended.exchange.state == "denied"
    assert rows(ended)["packages"][1] == "unevaluated"
