"""`effect: repair` over sockets: the model writes its answer anew, and the client sees one."""

import asyncio
import json
import threading

import pytest

from tests.patience import PATIENCE_S

NAMES = ("chat", "messages", "responses", "gemini")
RULES = "- {id: brief, at: output, effect: repair, ROUNDS validate: [{length: {max: 20}}]}\n"
LONG = ["This answer has more ", "words than it may have."]
SHORT = ["Brief."]


def policy(rounds="", more=""):
    top = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\nrules:\n"
    return top + RULES.replace("ROUNDS", rounds) + more


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


@pytest.fixture
def house(start, all_upstreams):
    return lambda text: start({"p.yaml": text}, upstreams=all_upstreams)


@pytest.fixture
def says(provider):
    """`says(wire, [pieces, ...], stream)`: what the provider answers, one after the other; the last one again and again."""

    def begin(wire, answers, stream, call=False):
        made = [provider.sse(*wire.stream(each, call)) if stream else provider.json(wire.whole("".join(each), call)) for each in answers]

        async def answer(reader, writer, body):
            await made[min(len(provider.received), len(made)) - 1](reader, writer, body)

        provider.answer = answer

    return begin


def told(body):
    """What the model was told last, in any dialect."""
    tree = json.loads(body)
    turns = tree.get("messages") or tree.get("contents") or tree["input"]
    return json.dumps(turns[-1])


def repaired(ended):
    return [(one.rule, one.action) for one in ended.findings if one.code == "repaired"]


def test_a_client_sees_the_answer_that_was_written_anew(name, stream, wires, house, says, provider):
    wire, at = wires[name], house(policy())
    says(wire, [LONG, SHORT], stream)
    text, calls, _, tokens = wire.ask(at.url, stream)
    assert (text, calls, tokens) == ("Brief.", [], 5)
    first, second = (body for _, body in provider.received)
    assert "at most 20 are allowed" in told(second)
    assert "".join(LONG) in second.decode()
    assert "".join(LONG) not in first.decode()
    ended = at.ended()[0]
    assert (ended.exchange.state, ended.exchange.output_preview) == ("complete", "Brief.")
    assert (ended.exchange.input_tokens, ended.exchange.output_tokens) == (20, 10)
    assert repaired(ended) == [("brief", "repaired")]
    assert [(one.code, one.action) for one in ended.findings if one.validator == "length"] == [("too_long", "repaired")]
    assert "withheld" not in {one.code for one in ended.findings}
    assert [(row.outcome, row.before) for row in ended.ran if row.rule == "brief"] == [("passed", True)]


def test_words_that_come_in_no_piece_are_looked_at_too(wires, house, provider):
    """As servers send them that know a message only when it is whole."""
    wire, at = wires["responses"], house(policy())
    streams = [[event for event in wire.stream(["".join(pieces)]) if b".delta" not in event] for pieces in (LONG, SHORT)]

    async def answer(reader, writer, body):
        await provider.sse(*streams[len(provider.received) - 1])(reader, writer, body)

    provider.answer = answer
    path, body = wire.asked(True)
    with at.client() as client:
        got = client.post(path, json=body).text
    assert ("Brief." in got, "more words" in got) == (True, False)
    (ended,) = at.ended()
    assert (ended.exchange.output_preview, ended.exchange.rounds) == ("Brief.", 2)


@pytest.mark.parametrize("rounds", [1, 3])
def test_what_does_not_pass_after_so_many_rounds_is_denied(rounds, stream, wires, house, says, provider):
    wire, at = wires["chat"], house(policy(f"rounds: {rounds},"))
    says(wire, [LONG], stream)
    text, *_, tokens = wire.ask(at.url, stream)
    assert text.startswith("[The answer was withheld")
    assert "at most 20 are allowed" in text
    assert (len(provider.received), tokens) == (rounds + 1, 5)
    ended = at.ended()[0]
    assert ended.exchange.state == "denied"
    assert ended.exchange.output_tokens == 5 * (rounds + 1)
    assert repaired(ended) == [("brief", "repaired")] * rounds
    assert [one.action for one in ended.findings if one.code == "too_long"] == ["repaired"] * rounds + ["denied"]
    assert [one.rule for one in ended.findings if one.code == "withheld"] == ["brief"]
    assert [(row.outcome, row.seen) for row in ended.ran if row.rule == "brief"] == [("hit", 1)]


def test_a_denial_by_another_rule_is_not_repaired(stream, wires, house, says, provider):
    more = "- {id: no, at: output, stream: buffer, validate: [{length: {max: 10}}]}\n"
    wire, at = wires["chat"], house(policy(more=more))
    says(wire, [LONG, SHORT], stream)
    text, *_ = wire.ask(at.url, stream)
    assert "rule no" in text
    assert len(provider.received) == 1


def test_calls_beside_an_answer_that_does_not_pass_are_not_delivered(name, wires, house, says, provider):
    wire, at = wires[name], house(policy())
    says(wire, [LONG, SHORT], True, call=True)
    text, calls, *_ = wire.ask(at.url, True)
    assert (text, calls) == ("Brief.", ["get"])
    assert "at most 20 are allowed" in provider.received[1][1].decode()
    codes = [call.code for record in at.records() for call in ([record.call] if hasattr(record, "call") else getattr(record, "calls", ()))]
    assert codes == ["answer_withheld", "granted"]


def test_a_round_that_comes_to_nothing_leaves_the_denial(stream, wires, house, says, provider):
    wire, at = wires["chat"], house(policy())
    says(wire, [LONG], stream)
    first = provider.answer

    async def answer(reader, writer, body):
        if len(provider.received) == 1:
            await first(reader, writer, body)
        else:
            await provider.raw(b"{}", "500 Internal Server Error")(reader, writer, body)

    provider.answer = answer
    text, *_ = wire.ask(at.url, stream)
    assert text.startswith("[The answer was withheld")
    ended = at.ended()[0]
    assert ended.exchange.state == "denied"
    assert "not_steered" in {one.code for one in ended.findings}


def test_a_round_whose_answer_breaks_leaves_the_denial(stream, wires, house, says, provider):
    wire, at = wires["chat"], house(policy())
    says(wire, [LONG], stream)
    first = provider.answer

    async def answer(reader, writer, body):
        broken = provider.sse(*wire.stream(SHORT)[:2], end=False) if stream else provider.raw(b"{")
        await (first if len(provider.received) == 1 else broken)(reader, writer, body)

    provider.answer = answer
    text, *_ = wire.ask(at.url, stream)
    assert text.startswith("[The answer was withheld")
    ended = at.ended()[0]
    assert ended.exchange.state == "denied"
    assert [one.rule for one in ended.findings if one.code == "withheld"] == ["brief"]
    assert [row.outcome for row in ended.ran if row.rule == "brief"] == ["hit"]


@pytest.mark.parametrize("how", ["refused", "broken", "paused"])
def test_an_error_that_a_rule_wants_stands_where_the_answer_cannot_be_had_anew(how, name, stream, wires, house, provider):
    wire, at = wires[name], house(policy().replace("explain", "error"))
    first = provider.sse(*wire.stream(LONG)) if stream else provider.json(wire.whole("".join(LONG)))
    broken = provider.sse(b": begun\n\n", end=False) if stream else provider.raw(b"{")
    second = broken if how == "broken" else provider.raw(b"{}", "500 Internal Server Error")

    async def answer(reader, writer, body):
        if how == "paused":
            at.plane.gateway.sessions.pause("anonymous", by="ann", why="", at_us=at.clock.now_us())
        await (first if len(provider.received) == 1 else second)(reader, writer, body)

    provider.answer = answer
    path, body = wire.asked(stream)
    with at.client() as client:
        got = client.post(path, json=body)
    assert (got.status_code in (400, 451), "at most 20 are allowed" in got.text, LONG[0] in got.text) == (True, True, False)
    (ended,) = at.ended()
    row = ended.exchange
    assert (row.state, row.error_code, len(provider.received)) == ("denied", "policy_denied", 1 if how == "paused" else 2)
    assert [one.code for one in ended.findings if one.code in ("repaired", "not_steered", "withheld")][-1] == (
        "withheld" if how == "broken" else "not_steered"
    )


def test_several_choices_are_not_written_anew(wires, house, says, provider):
    wire, at = wires["chat"], house(policy())
    says(wire, [LONG], False)
    body = {"model": "gpt-4o-mini", "n": 2, "messages": [{"role": "user", "content": "go"}]}
    with at.client() as client:
        said = client.post("/v1/chat/completions", json=body).json()
    assert said["choices"][0]["message"]["content"].startswith("[The answer was withheld")
    assert len(provider.received) == 1


@pytest.mark.parametrize(("name", "answers"), [*((each, [LONG, SHORT]) for each in NAMES), ("chat", [LONG])])
def test_a_client_that_waits_gets_signs_of_life(name, answers, wires, start, all_upstreams, provider):
    wire = wires[name]
    at = start({"p.yaml": policy()}, upstreams=all_upstreams, approvals={"keep_alive": 0.1})
    made = [provider.sse(*wire.stream(each), gap=0.06) for each in answers]

    async def answer(reader, writer, body):
        await made[min(len(provider.received), len(made)) - 1](reader, writer, body)
        await asyncio.sleep(0.3)  # and before the next round

    provider.answer = answer
    text, *_ = wire.ask(at.url, True)
    assert text == "Brief." if len(answers) == 2 else text.startswith("[The answer was withheld")
    assert at.ended()[0].exchange.state == ("complete" if len(answers) == 2 else "denied")


def test_signs_of_life_come_before_the_first_event(wires, start, all_upstreams, provider):
    at = start({"p.yaml": policy()}, upstreams=all_upstreams, approvals={"keep_alive": 0.05})
    provider.answer = provider.sse(*wires["chat"].stream(SHORT), gap=0.2)
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "go"}]}
    with at.client() as client:
        got = client.post("/v1/chat/completions", json=body).text
    assert got.startswith(": keep-alive")
    assert got.rindex(": keep-alive") < got.index("data:")
    assert "Brief." in got


def test_an_error_that_a_rule_wants_reaches_a_client_that_has_waited(wires, start, all_upstreams, provider):
    at = start({"p.yaml": policy().replace("explain", "error")}, upstreams=all_upstreams, approvals={"keep_alive": 0.05})
    provider.answer = provider.sse(*wires["chat"].stream(LONG), gap=0.2)
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "go"}]}
    with at.client() as client:
        got = client.post("/v1/chat/completions", json=body).text
    assert "at most 20 are allowed" in got
    assert "".join(LONG) not in got
    assert at.ended()[0].exchange.error_code == "policy_denied"


def test_a_shadow_rule_asks_nobody_again(stream, wires, house, says, provider):
    wire, at = wires["chat"], house(policy("mode: shadow, until: 2099-01-01,"))
    says(wire, [LONG], stream)
    assert wire.ask(at.url, stream)[0] == "".join(LONG)
    assert len(provider.received) == 1
    assert [(row.outcome, row.effect, row.mode) for row in at.ended()[0].ran if row.rule == "brief"] == [("hit", "repair", "shadow")]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_in_one_piece_does_not_follow_signs_of_life_of_a_stream(name, wires, start, all_upstreams, provider):
    """The provider streams its first answer and not its second: the client has a stream already, and the denial is said in it."""
    wire = wires[name]
    at = start({"p.yaml": policy()}, upstreams=all_upstreams, approvals={"keep_alive": 0.05})
    answers = [provider.sse(*wire.stream(LONG), gap=0.1), provider.json(wire.whole("Shorter."))]

    async def answer(reader, writer, body):
        await answers.pop(0)(reader, writer, body)

    provider.answer = answer
    path, body = wire.asked(True)
    with at.client() as client:
        got = client.post(path, json=body)
    assert got.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in got.text.splitlines() if line.strip()]
    assert all(line.startswith((":", "event:", "data: ")) for line in lines)
    assert "brief" in got.text
    row = at.ended()[0].exchange
    assert (row.state, row.rounds) == ("denied", 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_that_stops_while_the_model_is_asked_again_ends_the_stream_that_has_begun(name, wires, start, all_upstreams, provider):
    """Only signs of life have left: what follows is an event all the same, not an answer of its own."""
    wire = wires[name]
    at = start({"p.yaml": policy()}, upstreams=all_upstreams, approvals={"keep_alive": 0.05})
    first, asked_again = provider.sse(*wire.stream(LONG), gap=0.1), threading.Event()

    async def answer(reader, writer, body):
        if len(provider.received) == 1:
            await first(reader, writer, body)
        else:
            asked_again.set()
            await reader.read()

    provider.answer = answer
    path, body = wire.asked(True)
    with at.client() as client, client.stream("POST", path, json=body) as got:
        assert asked_again.wait(PATIENCE_S)
        at.loop.call_soon_threadsafe(lambda: (at.plane.drain(), at.plane.interrupt()))
        lines = [line for line in got.iter_lines() if line.strip() and not line.startswith((":", "event:"))]
    assert lines
    assert all(line.startswith("data: ") for line in lines)
    assert "stopped" in lines[-1]
    row = at.ended()[0].exchange
    assert (row.state, row.rounds) == ("interrupted", 2)
