"""An answer on its way out: in four dialects, for any cut, no secret word leaves, and what leaves is a right answer of its dialect."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.screening.streamed import Screening, Watching
from gateway.verdict import Call
from tests.screening.wires import WIRES, chat, frame, messages, responses, said, trees

GOLDEN = Path(__file__).parents[1] / "golden"
CARD = "4111 1111 1111 1111"
WHY = "The rest of this answer was withheld by policy \"p\" (rule r)."


@pytest.fixture(scope="module")
def screened(cards):
    def run(dialect, data, cuts=(), screen=None):
        notes = []
        texts = DIALECTS[dialect].TEXTS.streamed()
        stage = Screening(screen or cards(), texts, explain=lambda hits: WHY, note=lambda hit, words: notes.append(words))
        bounds = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
        left = b"".join(stage.through(data[a:b]) for a, b in itertools.pairwise(bounds)) + stage.settle()
        return left, stage, notes

    return run


def cut(text, places):
    bounds = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


TEXT = f"Grüße, your card is {CARD}, and we will say more of it later on."
CLEAN = TEXT.replace(CARD, "[card]")


@pytest.mark.parametrize("dialect", WIRES)
def test_a_card_cut_at_every_point_over_two_or_three_deltas_never_leaves_partly(dialect, screened):
    at = TEXT.index(CARD)
    for first in range(at, at + len(CARD) + 1):
        for width in (1, 4, 19):
            pieces = [TEXT[:first], TEXT[first : first + width], TEXT[first + width :]]
            left, stage, notes = screened(dialect, WIRES[dialect](pieces))
            assert said(dialect, left) == CLEAN == stage.text
            assert b"1111" not in left
            assert set(notes) == {CARD}


@pytest.mark.unmeasured
@pytest.mark.parametrize("dialect", WIRES)
def test_a_stream_cut_at_every_byte_gives_the_same_answer(dialect, screened):
    data = WIRES[dialect]([TEXT[:25], TEXT[25:31], TEXT[31:]])
    whole, _, _ = screened(dialect, data)
    assert all(screened(dialect, data, [at])[0] == whole for at in range(len(data)))


@pytest.mark.parametrize("dialect", WIRES)
@given(places=st.lists(st.integers(0, 200), max_size=25), cuts=st.lists(st.integers(0, 9999), max_size=8))
@settings(max_examples=30)
def test_whatever_the_deltas_and_the_cuts_what_leaves_is_the_redacted_text(dialect, places, cuts, screened, cards):
    text = f"{CARD} 1234 {CARD}, then {CARD} and words to the end 4111 1111 1111 111"
    left, stage, _ = screened(dialect, WIRES[dialect](cut(text, places)), cuts)
    assert said(dialect, left) == stage.text == cards().redacted(text, cards().find(text))


def golden_streams():
    folders = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages", "openai.responses": "openai_responses"}
    for dialect, folder in {**folders, "google.gemini": "gemini"}.items():
        for path in sorted((GOLDEN / folder).glob("*.allowed.sse")):
            yield pytest.param(dialect, path.read_bytes(), id=f"{folder}/{path.stem}")


@pytest.mark.parametrize(("dialect", "data"), list(golden_streams()))
def test_an_answer_in_which_nothing_is_found_leaves_as_it_came(dialect, data, request, screened):
    left, stage, notes = screened(dialect, data, range(0, len(data), 7))
    if "two_c" in request.node.name:  # choices and candidates do not wait for each other
        assert sorted(left.splitlines()) == sorted(data.splitlines())
    else:
        assert left == data
    assert (stage.changed, stage.denied, notes) == (False, (), [])


@pytest.mark.parametrize("dialect", WIRES)
def test_words_wait_no_longer_than_they_must(dialect, cards):
    data = WIRES[dialect](["word "] * 200)
    texts = DIALECTS[dialect].TEXTS.streamed()
    stage = Screening(cards(), texts, explain=lambda hits: WHY, note=lambda hit, words: None)
    marks = [m.end() for m in re.finditer(rb"\n\n", data)]
    left = b"".join(stage.through(data[a:b]) for a, b in zip([0, *marks[:150]], marks[:151], strict=True))
    assert data.startswith(left)
    assert len(said(dialect, left)) >= 150 * 5 - 60


@pytest.mark.parametrize("dialect", WIRES)
@pytest.mark.parametrize("places", [[], [30], [34, 36], list(range(100))])
def test_an_answer_ends_before_what_must_not_be_said(dialect, places, screened):
    text = "What I may tell comes first, but never say what comes behind. And here is the secret."
    left, stage, notes = screened(dialect, WIRES[dialect](cut(text, places)))
    before, _, rest = said(dialect, left).partition(WHY)
    assert (before.strip(), rest) == ("What I may tell comes first, but", "")
    assert b"secret" not in left
    assert b"never" not in left
    assert stage.text.startswith("What I may tell comes first, but")
    assert stage.text.endswith(WHY)
    assert set(notes) == {"never say"}


def test_a_denied_chat_completion_ends_well_and_says_what_it_cost(screened):
    left, _, _ = screened("openai.chat", chat(["It is ", "never say that"], finish="length"))
    *_, finish, usage = trees(left)
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage["usage"]["completion_tokens"] == 9
    assert left.endswith(b"data: [DONE]\n\n")


def test_a_denied_message_stops_its_blocks_in_order(screened):
    left, _, _ = screened("anthropic.messages", messages(["It is ", "never say that"]))
    events = [(t["type"], t.get("index")) for t in trees(left)]
    assert events[1:] == [
        *[("content_block_start", 0), ("content_block_delta", 0), ("content_block_stop", 0)],
        *[("content_block_start", 1), ("content_block_delta", 1), ("content_block_stop", 1)],
        *[("message_delta", None), ("message_stop", None)],
    ]
    assert trees(left)[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert trees(left)[-2]["usage"] == {"output_tokens": 9}


def test_a_denied_response_tells_what_was_said_in_every_copy_and_counts_its_events(screened):
    left, stage, _ = screened("openai.responses", responses(["It is ", "never say that"]))
    events = trees(left)
    assert [t["sequence_number"] for t in events] == list(range(len(events)))
    done = [t["item"] for t in events if t["type"] == "response.output_item.done"]
    assert [part["text"] for item in done for part in item["content"]] == ["It is ", WHY]
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"], response["usage"]) == ("response.completed", "completed", {"output_tokens": 9})
    assert response["output"] == done
    assert stage.text == f"It is \n\n{WHY}"


def test_every_copy_of_changed_words_is_changed_and_what_only_fitted_the_old_ones_goes(screened):
    left, _, _ = screened("openai.responses", responses([TEXT[:30], TEXT[30:]]))
    kinds = {t["type"]: t for t in trees(left)}
    assert kinds["response.output_text.done"]["text"] == CLEAN
    assert kinds["response.content_part.done"]["part"] == {"type": "output_text", "text": CLEAN, "annotations": [], "logprobs": []}
    assert kinds["response.completed"]["response"]["output"][0]["content"][0]["text"] == CLEAN
    assert "response.output_text.annotation.added" not in kinds
    numbers = [t["sequence_number"] for t in trees(left)]
    assert numbers == list(range(len(numbers)))


def test_log_probabilities_of_changed_words_go_and_those_of_others_stay(screened):
    left, _, _ = screened("openai.chat", chat(["Your card is ", CARD, ", ", "and so on, for a while. ", "The end"]))
    logged = [c.get("logprobs") for t in trees(left) for c in t["choices"] if c["delta"].get("content")]
    assert logged[0] == {"content": [{"token": "Your card is "}]}
    assert logged[1] is None
    assert "1111" not in json.dumps(logged)


def test_log_probabilities_that_come_apart_from_their_words_are_read_as_a_text(screened):
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    logged = [
        {"index": 0, "delta": {"content": ""}, "logprobs": {"content": [{"token": p, "top_logprobs": [{"token": CARD}] * (p == "x")}]}}
        for p in ("Your card is ", "4111 1111", " 1111", " 1111", ", and so on, for a while.", "x")
    ]
    frames = [{**head, "choices": [choice]} for choice in logged]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    left, _, notes = screened("openai.chat", b"".join(map(frame, [*frames, end])) + b"data: [DONE]\n\n")
    assert b"Your card is" in left
    assert b"and so on" in left
    assert b"1111" not in left
    assert set(notes) == {CARD}


def test_words_that_come_in_two_spellings_at_once_are_two_texts_that_both_go_on(screened):
    pieces = ["It was said before at some length: 41", "11 1111 1111 1111, and that is all there is to say about it."]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    details = [{"type": "reasoning.text", "text": "* " * 40, "index": 0}]
    deltas = [{"reasoning": p, "reasoning_details": details, "content": p} for p in pieces]
    frames = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    left, _, _ = screened("openai.chat", b"".join(map(frame, [*frames, end])) + b"data: [DONE]\n\n")
    found = [choice["delta"] for tree in trees(left) for choice in tree["choices"]]
    for key in ("reasoning", "content"):
        said_so = "".join(delta.get(key, "") for delta in found)
        assert said_so == "It was said before at some length: [card], and that is all there is to say about it."


def test_pictures_beside_the_words_leave_as_they_are(screened):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = ({"content": "It is 4111 1111 1111 1111.", "images": [picture]}, {})
    frames = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None if d else "stop"}]} for d in deltas]
    left, _, notes = screened("openai.chat", b"".join(map(frame, frames)) + b"data: [DONE]\n\n")
    found = [choice["delta"] for tree in trees(left) for choice in tree["choices"]]
    assert [delta["images"] for delta in found if "images" in delta] == [[picture]]
    assert "".join(delta.get("content", "") for delta in found) == "It is [card]."
    assert set(notes) == {CARD}


# Every carrier of words


def chat_delta(delta, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    return frame({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def chat_end(reason="stop"):
    return chat_delta({}, finish_reason=reason) + b"data: [DONE]\n\n"


def halves(make):
    """The card in two events."""
    return b"".join([make(f"It is {CARD[:9]}"), make(f"{CARD[9:]} to be sure.")])


def block(block, *deltas):
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    events = [start, *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas)]
    return b"".join(frame(event, event["type"]) for event in [*events, {"type": "content_block_stop", "index": 0}])


def candidate(**found):
    return frame({"candidates": [{"index": 0, **found}]})


def part_event(kind, words, index=0, **more):
    return frame({"type": kind, "item_id": "i", "output_index": index, "sequence_number": 1, **words, **more}, kind)


CITED = {"type": "url_citation", "url_citation": {"url": f"https://e.com/?q={CARD}", "title": "t", "start_index": 0, "end_index": 1}}
FOUND_BY_SEARCH = {"type": "web_search_result", "url": f"https://e.com/?q={CARD}", "title": "t", "encrypted_content": "e", "page_age": None}
CITATION = {"type": "web_search_result_location", "url": "https://e.com/", "title": "t", "cited_text": CARD, "encrypted_index": "x"}
CARRIERS = {
    "chat refusal beside a call": (
        "openai.chat",
        halves(lambda p: chat_delta({"refusal": p})) + chat_delta({"tool_calls": [{"index": 0, "id": "a"}]}) + chat_end("tool_calls"),
    ),
    "chat reasoning": ("openai.chat", halves(lambda p: chat_delta({"reasoning": p})) + chat_end()),
    "chat reasoning_content": ("openai.chat", halves(lambda p: chat_delta({"reasoning_content": p})) + chat_end()),
    "chat content parts": ("openai.chat", halves(lambda p: chat_delta({"content": [{"type": "text", "text": p}]})) + chat_end()),
    "chat transcript": ("openai.chat", halves(lambda p: chat_delta({"audio": {"id": "a", "transcript": p}})) + chat_end()),
    "chat annotation": ("openai.chat", chat_delta({"content": "x", "annotations": [CITED]}) + chat_end()),
    "chat citations beside the choices": ("openai.chat", frame({"choices": [], "citations": [f"https://e.com/{CARD}"]}) + chat_end()),
    "messages citation": ("anthropic.messages", block({"type": "text", "text": "x"}, {"type": "citations_delta", "citation": CITATION})),
    "messages search result": (
        "anthropic.messages",
        block({"type": "web_search_tool_result", "tool_use_id": "t", "content": [FOUND_BY_SEARCH]}),
    ),
    "messages input of a tool that the provider runs": (
        "anthropic.messages",
        block(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"query": "is ' + CARD[:7]},
            {"type": "input_json_delta", "partial_json": CARD[7:] + ' mine"}'},
        ),
    ),
    "messages text that begins with its block": (
        "anthropic.messages",
        block({"type": "text", "text": f"It is {CARD[:9]}"}, {"type": "text_delta", "text": CARD[9:]}),
    ),
    "responses refusal": ("openai.responses", halves(lambda p: part_event("response.refusal.delta", {"delta": p}, content_index=0))),
    "responses summary of reasoning": (
        "openai.responses",
        halves(lambda p: part_event("response.reasoning_summary_text.delta", {"delta": p}, summary_index=0)),
    ),
    "responses reasoning": (
        "openai.responses",
        halves(lambda p: part_event("response.reasoning_text.delta", {"delta": p}, content_index=0)),
    ),
    "responses transcript": (
        "openai.responses",
        halves(lambda p: frame({"type": "response.audio.transcript.delta", "delta": p}, "response.audio.transcript.delta")),
    ),
    "responses annotation": (
        "openai.responses",
        part_event("response.output_text.annotation.added", {"annotation": CITED["url_citation"]}, content_index=0),
    ),
    "responses item that only its end tells": (
        "openai.responses",
        part_event("response.output_item.done", {"item": {"type": "file_search_call", "id": "f", "queries": [CARD], "results": None}}),
    ),
    "responses code": (
        "openai.responses",
        halves(lambda p: part_event("response.code_interpreter_call_code.delta", {"delta": p})),
    ),
    "responses what a command wrote": (
        "openai.responses",
        halves(lambda p: part_event("response.shell_call_output_content.delta", {"delta": {"stdout": p, "stderr": None}}, command_index=1)),
    ),
    "responses what a command wrote, once more": (
        "openai.responses",
        part_event("response.shell_call_output_content.done", {"output": [{"stdout": f"It is {CARD}.", "stderr": ""}]}, command_index=0),
    ),
    "gemini thought": ("google.gemini", halves(lambda p: candidate(content={"parts": [{"text": p, "thought": True}]}))),
    "gemini source": ("google.gemini", candidate(groundingMetadata={"groundingChunks": [{"web": {"uri": f"https://e.com/{CARD}"}}]})),
    "gemini page for a search": (
        "google.gemini",
        candidate(groundingMetadata={"searchEntryPoint": {"renderedContent": f"<b>{CARD}</b>"}}),
    ),
    "gemini code": ("google.gemini", candidate(content={"parts": [{"executableCode": {"language": "PYTHON", "code": f"x={CARD!r}"}}]})),
    "gemini words for its finish": ("google.gemini", candidate(finishReason="SAFETY", finishMessage=CARD)),
}


GOES = ("chat annotation", "gemini source", "gemini page for a search")
"""What names places in words that were changed goes, and there they cannot be told from its own."""


@pytest.mark.parametrize("carrier", CARRIERS)
def test_words_are_looked_at_wherever_an_answer_has_them(carrier, screened):
    dialect, data = CARRIERS[carrier]
    left, stage, notes = screened(dialect, data)
    assert set(notes) == {CARD}
    assert b"1111" not in left
    assert left.count(b"[card]") == (0 if carrier in GOES else 1)
    assert stage.changed


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_answer_that_may_not_be_given_ends_whatever_carries_the_words(carrier, screened, cards):
    dialect, data = CARRIERS[carrier]
    left, stage, _ = screened(dialect, data, screen=cards("deny"))
    assert b"1111" not in left
    assert json.dumps(WHY).strip('"').encode() in left
    assert stage.denied


@pytest.mark.parametrize("carrier", CARRIERS)
def test_who_only_watches_hears_the_same_words_and_changes_no_byte(carrier, cards):
    dialect, data = CARRIERS[carrier]
    notes = []
    watching = Watching(cards("deny"), DIALECTS[dialect].TEXTS.streamed(), note=lambda hit, words: notes.append(words))
    left = b"".join(watching.through(data[at : at + 5]) for at in range(0, len(data), 5)) + watching.settle()
    assert left == data
    assert set(notes) == {CARD}
    assert (watching.denied, watching.changed, watching.lost) == ((), False, False)


COMMANDS = {
    "streamed": halves(lambda p: part_event("response.shell_call_command.delta", {"delta": p}, command_index=0)),
    "begun with it": part_event("response.shell_call_command.added", {"command": f"cat {CARD}"}, command_index=0),
    "told once more": part_event("response.shell_call_command.done", {"command": f"cat {CARD}"}, command_index=0),
}


@pytest.mark.parametrize("how", COMMANDS)
def test_a_command_that_the_provider_runs_is_not_changed_and_may_end_the_answer(how, screened, cards):
    """As what its item says of it: only as it is written does it stand in the provider's history."""
    left, stage, _ = screened("openai.responses", COMMANDS[how])
    assert b"1111" not in left
    assert stage.denied


def test_who_only_watches_lets_signed_thinking_pass_in_its_time(cards):
    notes = []
    watching = Watching(cards(), DIALECTS["anthropic.messages"].TEXTS.streamed(), note=lambda hit, words: notes.append(words))
    data = messages([SAY], kind="thinking")
    assert watching.through(data) == data
    assert notes == [CARD]
    assert (watching.text, watching.own) == ("", {})


def test_who_only_watches_passes_on_what_nobody_can_read(cards):
    watching = Watching(cards(), DIALECTS["openai.chat"].TEXTS.streamed(), note=lambda hit, words: None)
    for data in (b"data: {\n\n", b'data: {"choices": [1]}\n\n', b"more"):
        assert watching.through(data) == data
    assert watching.lost
    assert watching.settle() == b""


def test_signed_thinking_with_a_card_is_not_rewritten_the_answer_ends_before_it(screened):
    left, stage, _ = screened("anthropic.messages", messages([f"Think of {CARD[:8]}", CARD[8:], "."], kind="thinking"))
    assert stage.denied
    assert "thinking" not in {t.get("content_block", {}).get("type") for t in trees(left)}
    assert said("anthropic.messages", left) == WHY


def test_signed_thinking_in_which_nothing_is_found_leaves_as_it_came(screened):
    data = messages(["Think of ", "something else."], kind="thinking")
    assert screened("anthropic.messages", data)[0] == data


def test_arguments_of_a_call_are_not_words(screened, cards):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "pay", "arguments": json.dumps({"card": CARD})}}
    data = chat_delta({"tool_calls": [call]}) + chat_end("tool_calls")
    assert screened("openai.chat", data)[0] == data
    piece = {"type": "input_json_delta", "partial_json": f'{{"c":"{CARD}"}}'}
    used = block({"type": "tool_use", "id": "t", "name": "pay", "input": {}}, piece)
    assert screened("anthropic.messages", used)[0] == used
    called = candidate(content={"parts": [{"functionCall": {"name": "pay", "args": {"card": CARD}}}]})
    assert screened("google.gemini", called)[0] == called
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": "pay", "arguments": json.dumps({"card": CARD})}
    done = part_event("response.output_item.done", {"item": item})
    told = part_event("response.function_call_arguments.delta", {"delta": CARD}) + done
    assert screened("openai.responses", told, screen=cards("deny"))[1].denied == ()


def test_words_that_follow_reasoning_do_not_wait_for_its_end(cards):
    data = chat_delta({"reasoning": "I think of it. "}) + b"".join(chat_delta({"content": "word "}) for _ in range(20))
    texts = DIALECTS["openai.chat"].TEXTS.streamed()
    stage = Screening(cards(), texts, explain=lambda hits: WHY, note=lambda hit, words: None)
    left = stage.through(data)
    assert b"I think of it. " in left
    assert said("openai.chat", left).startswith("word word")


def test_what_waits_of_one_choice_leaves_before_its_call_and_the_others_go_on(cards):
    stage = Screening(cards(), DIALECTS["openai.chat"].TEXTS.streamed(), explain=lambda hits: WHY, note=lambda hit, words: None)
    one, other = chat_delta({"content": "one"}), chat_delta({"content": "other"}).replace(b'"index":0', b'"index":1')
    assert stage.through(one + other) == b""
    assert stage.differs
    assert stage.settle(0) == one
    assert stage.settle(7) == b""
    assert stage.settle() == other
    assert not stage.differs


def test_a_screen_that_needs_the_whole_text_gets_it_before_anything_leaves(screened, needs_all):
    left, stage, _ = screened("openai.chat", chat(["First words, ", "many more, ", "and the last."]), screen=needs_all)
    assert said("openai.chat", left) == WHY
    assert stage.denied


def test_what_was_said_is_kept_for_the_record_up_to_a_bound(screened):
    left, stage, _ = screened("openai.chat", chat(["x" * 1000] * 300))
    assert len(stage.text) == 256 * 1024
    assert len(said("openai.chat", left)) == 300_000


def test_a_hit_without_effect_changes_nothing_signed_or_not(screened, cards):
    for dialect, data in (("anthropic.messages", messages([SAY], kind="thinking")), ("openai.chat", chat([SAY]))):
        left, stage, notes = screened(dialect, data, screen=cards("warn"))
        assert (left, stage.changed, stage.denied, set(notes)) == (data, False, (), {CARD})


SAY = f"It is {CARD} and no other."


def test_calls_that_were_delivered_before_an_answer_was_denied_are_the_clients_to_run(screened):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "pay", "arguments": "{}"}}
    data = chat_delta({"content": "x"}) + chat_delta({"tool_calls": [call]}) + chat_delta({"content": "never say it"})
    left, _, _ = screened("openai.chat", data + chat_end("tool_calls"))
    assert trees(left)[-1]["choices"][0]["finish_reason"] == "tool_calls"
    used = block({"type": "tool_use", "id": "t", "name": "pay", "input": {}})
    said_behind = block({"type": "text", "text": "never say it"}).replace(b'"index":0', b'"index":1')
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {}}
    left, _, _ = screened("anthropic.messages", used + said_behind + frame(end, "message_delta"))
    assert trees(left)[-1] == end
    assert [t["index"] for t in trees(left) if t["type"] == "content_block_start"] == [0, 1]


def test_a_choice_that_ends_after_another_was_denied_says_nothing_more(screened):
    other = chat_delta({"content": "other words"}).replace(b'"index":0', b'"index":1')
    data = chat_delta({"content": "x"}) + other + chat_delta({"content": "never say it"})
    ends = chat_end().removesuffix(b"data: [DONE]\n\n") + chat_end().replace(b'"index":0', b'"index":1')
    left, _, _ = screened("openai.chat", data + ends)
    assert b"other" not in left
    assert [t["choices"][0]["finish_reason"] for t in trees(left)] == [None, None, "stop", "stop"]


@pytest.mark.parametrize(("kind", "key"), [("output_text", "text"), ("refusal", "refusal")])
def test_a_part_that_was_being_written_is_told_to_its_end_when_the_answer_is_denied(kind, key, screened):
    about = {"content_index": 0}
    item = {"type": "message", "id": "i", "role": "assistant", "status": "in_progress", "content": []}
    events = [
        part_event("response.output_item.added", {"item": item}),
        part_event("response.content_part.added", {"part": {"type": kind, key: ""}}, **about),
        part_event(f"response.{kind}.delta", {"delta": "I would say so, at length, and "}, **about),
        part_event(f"response.{kind}.delta", {"delta": "never say more."}, **about),
    ]
    last = {"type": "response.completed", "sequence_number": 9, "response": {"status": "in_progress", "output": []}}
    left, stage, _ = screened("openai.responses", b"".join(events) + frame(last, "response.completed"))
    first, second = trees(left)[-1]["response"]["output"]
    assert (first["id"], first["content"][0]["type"], first["content"][0][key]) == ("i", kind, "I would say so, at length, and ")
    assert second["content"][0]["text"] == WHY
    assert stage.own == {second["id"]: WHY}
    assert [t["sequence_number"] for t in trees(left)] == list(range(1, len(trees(left)) + 1))


def test_reasoning_in_which_an_answer_is_denied_is_no_item_of_it(screened):
    item = {"type": "reasoning", "id": "r", "summary": []}
    delta = part_event("response.reasoning_summary_text.delta", {"delta": "never say"}, summary_index=0)
    last = {"type": "response.incomplete", "sequence_number": 9, "response": {"status": "incomplete", "output": [item]}}
    added = part_event("response.output_item.added", {"item": item})
    left, _, _ = screened("openai.responses", added + delta + frame(last, "response.incomplete"))
    assert [item["type"] for item in trees(left)[-1]["response"]["output"]] == ["message"]
    assert trees(left)[-1]["response"]["status"] == "completed"


def test_events_without_numbers_get_none(screened):
    data = halves(lambda p: frame({"type": "response.output_text.delta", "output_index": 0, "delta": p}, "response.output_text.delta"))
    left, _, _ = screened("openai.responses", data)
    assert [t["delta"] for t in trees(left)] == ["It is [card]", " to be sure."]
    assert all("sequence_number" not in t for t in trees(left))


def test_a_call_stands_behind_the_words_of_its_choice_or_behind_all():
    call = Call("c", "pay", "{}", {}, 0, choice=3)
    lanes = {name: DIALECTS[name].TEXTS.lane_of(call) for name in WIRES}
    assert lanes == {"openai.chat": 3, "google.gemini": 3, "anthropic.messages": None, "openai.responses": None}
