"""Answers in one piece: every text of them is looked at, and what leaves is a right answer of its dialect."""

import json
from pathlib import Path

import pytest

from gateway.dialects import DIALECTS
from gateway.screening.whole import cleaned, looked_at

GOLDEN = Path(__file__).parents[1] / "golden"
CARD = "4111 1111 1111 1111"
WHY = 'This answer was withheld by policy "p" (rule r).'
SAID = f"It is {CARD}."
CALL = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": json.dumps({"card": CARD})}}
NOTE = {"type": "url_citation", "url": f"https://e.com/{CARD}", "title": "t", "start_index": 0, "end_index": 4}
ANSWERS = {
    "openai.chat": {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": SAID, "refusal": None, "tool_calls": [CALL]},
                "logprobs": {"content": [{"token": CARD}]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"completion_tokens": 9},
    },
    "anthropic.messages": {
        "id": "a",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": SAID}, {"type": "tool_use", "id": "t", "name": "pay", "input": {"card": CARD}}],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"output_tokens": 9},
    },
    "openai.responses": {
        "id": "a",
        "object": "response",
        "status": "completed",
        "model": "m",
        "instructions": f"the caller's own words: {CARD}",
        "output": [
            {
                "type": "message",
                "id": "i",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": SAID, "annotations": [NOTE], "logprobs": [{"token": CARD}]}],
            },
            {"type": "function_call", "id": "f", "call_id": "c", "name": "pay", "arguments": json.dumps({"card": CARD})},
        ],
        "usage": {"output_tokens": 9},
    },
    "google.gemini": {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": SAID}, {"functionCall": {"name": "pay", "args": {"card": CARD}}}]},
                "finishReason": "STOP",
                "index": 0,
                "logprobsResult": {"chosenCandidates": [{"token": CARD}]},
            }
        ],
        "usageMetadata": {"candidatesTokenCount": 9},
    },
}


def body_of(dialect):
    return json.dumps(ANSWERS[dialect]).encode()


def explain(hits):
    assert hits
    return WHY


@pytest.mark.parametrize("dialect", ANSWERS)
def test_words_are_replaced_and_calls_stay_as_they_were_judged(dialect, cards):
    texts = DIALECTS[dialect].TEXTS
    found = []
    assert looked_at(body_of(dialect), texts, cards(), lambda hit, words: found.append(words)) == ()
    out = cleaned(body_of(dialect), texts, cards(), explain)
    assert set(found) == {CARD}
    assert out.text == "It is [card]."
    told = json.loads(out.body)
    told.pop("instructions", None)
    assert json.dumps(told).count(CARD) == 1  # the argument of the call
    assert "logprobs" not in json.dumps(told).replace('"logprobs": null', "").replace('"logprobs": []', "")


@pytest.mark.parametrize("dialect", ANSWERS)
def test_an_answer_that_may_not_be_given_has_nothing_in_it_but_why(dialect, cards):
    texts, screen = DIALECTS[dialect].TEXTS, cards("deny")
    stopping = looked_at(body_of(dialect), texts, screen, lambda hit, words: None)
    assert stopping
    out = cleaned(body_of(dialect), texts, screen, explain, stopping)
    told = json.loads(out.body)
    told.pop("instructions", None)
    assert CARD not in json.dumps(told)
    assert "pay" not in json.dumps(told)
    assert json.dumps(told).count(json.dumps(WHY)) == 1
    assert "9" in json.dumps(told)  # what it cost
    assert out.text == WHY
    assert cleaned(body_of(dialect), texts, screen, explain).body == out.body


def golden_answers():
    folders = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages", "openai.responses": "openai_responses"}
    for dialect, folder in {**folders, "google.gemini": "gemini"}.items():
        for path in sorted((GOLDEN / folder).glob("whole_*.allowed.json")):
            yield pytest.param(dialect, path.read_bytes(), id=f"{folder}/{path.stem}")


@pytest.mark.parametrize(("dialect", "data"), list(golden_answers()))
def test_an_answer_in_which_nothing_is_found_leaves_as_it_came(dialect, data, cards):
    assert cleaned(data, DIALECTS[dialect].TEXTS, cards(), explain).body == data


@pytest.mark.parametrize("dialect", ANSWERS)
@pytest.mark.parametrize("data", [b"{", b"\xff", b"[]", b"7", b"{}"])
def test_what_is_no_answer_of_the_dialect_has_no_words(dialect, data, cards):
    texts = DIALECTS[dialect].TEXTS
    assert looked_at(data, texts, cards(), lambda hit, words: None) == ()
    assert cleaned(data, texts, cards(), explain).body == data


def test_an_answer_without_choices_may_be_forbidden_too(cards):
    data = json.dumps({"id": "a", "choices": [], "citations": ["never say"]}).encode()
    (choice,) = json.loads(cleaned(data, DIALECTS["openai.chat"].TEXTS, cards(), explain).body)["choices"]
    assert choice["message"]["content"] == WHY


def test_signed_thinking_with_a_card_forbids_the_answer(cards):
    message = {**ANSWERS["anthropic.messages"], "content": [{"type": "thinking", "thinking": SAID, "signature": "c2ln"}]}
    data = json.dumps(message).encode()
    texts = DIALECTS["anthropic.messages"].TEXTS
    assert looked_at(data, texts, cards(), lambda hit, words: None)
    assert json.loads(cleaned(data, texts, cards(), explain).body)["content"] == [{"type": "text", "text": WHY}]


def test_the_stop_sequence_of_a_message_is_words_too(cards):
    data = json.dumps({**ANSWERS["anthropic.messages"], "content": [], "stop_sequence": CARD}).encode()
    assert json.loads(cleaned(data, DIALECTS["anthropic.messages"].TEXTS, cards(), explain).body)["stop_sequence"] == "[card]"
