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


T = f"see {CARD} ok"
TOKEN = {"token": T, "logprob": -1, "bytes": [1], "top_logprobs": []}
CUT = [{"token": "see 4111 1111"}, {"token": " 1111 1111"}]
FETCHED = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": T}, "title": "t"}


def chat(top=None, choice=None, **message):
    said = {"index": 0, "message": {"role": "assistant", "content": "hi"} | message, "finish_reason": "stop"} | (choice or {})
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [said]} | (top or {})


def messages(*blocks, **top):
    head = {"id": "a", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None}
    return head | {"content": [{"type": "text", "text": "hi"}, *blocks], "usage": {"output_tokens": 9}} | top


def responses(*items, **top):
    return {"id": "a", "object": "response", "status": "completed", "model": "m", "output": list(items)} | top


def message(**part):
    part = {"type": "output_text", "text": "hi", "annotations": [], **part}
    return {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [part]}


def gemini(*parts, candidate=None, **top):
    content = {"role": "model", "parts": [{"text": "hi"}, *parts]}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0} | (candidate or {})], "responseId": "r"} | top


CARRIERS = {
    "chat, a token": ("openai.chat", chat(choice={"logprobs": {"content": [TOKEN], "refusal": None}})),
    "chat, tokens": ("openai.chat", chat(choice={"logprobs": {"content": CUT}})),
    "chat, another token": ("openai.chat", chat(choice={"logprobs": {"content": [{"token": "x", "top_logprobs": [TOKEN]}]}})),
    "chat, odd log probabilities": ("openai.chat", chat(choice={"logprobs": {"content": [[T]], "refusal": {"token": T}}})),
    "chat, parts": ("openai.chat", chat(content=[{"type": "text", "text": "see 4111 1111"}, {"type": "text", "text": " 1111 1111"}])),
    "chat, what stopped it": ("openai.chat", chat(choice={"stop_reason": T})),
    "chat, a filter": ("openai.chat", chat(choice={"content_filter_results": {"protected_material_code": {"citation": {"URL": T}}}})),
    "chat, a filter of the prompt": ("openai.chat", chat({"prompt_filter_results": [{"note": T}], "x_groq": {"error": T}})),
    "messages, a page": ("anthropic.messages", messages({"type": "web_fetch_tool_result", "tool_use_id": "s", "content": FETCHED})),
    "messages, what was done to it": ("anthropic.messages", messages(diagnostics={"note": T}, context_management={"note": T})),
    "messages, an input": ("anthropic.messages", messages({"type": "server_tool_use", "id": "s", "input": {"x": [{"id": T}]}})),
    "responses, a token": ("openai.responses", responses(message(logprobs=[TOKEN]))),
    "responses, tokens": ("openai.responses", responses(message(logprobs=CUT))),
    "responses, a program": ("openai.responses", responses({"type": "program_output", "id": "p", "call_id": "c", "result": T})),
    "responses, a file": (
        "openai.responses",
        responses({"type": "file_search_call", "id": "f", "results": [{"file_id": "f", "attributes": {"status": T, "id": T}}]}),
    ),
    "responses, of itself": ("openai.responses", responses(error={"message": T}, moderation={"note": T}, content_filters=[{"note": T}])),
    "gemini, tokens": ("google.gemini", gemini(candidate={"logprobsResult": {"chosenCandidates": CUT}})),
    "gemini, another token": ("google.gemini", gemini(candidate={"logprobsResult": {"topCandidates": [{"candidates": [TOKEN]}]}})),
    "gemini, parts": ("google.gemini", gemini({"text": "see 4111 1111"}, {"text": " 1111 1111"})),
    "gemini, a part of its own": ("google.gemini", gemini({"text": T.removesuffix(" ok")}, {"text": "xyz"}, {"text": ""})),
    "gemini, an answer": ("google.gemini", gemini({"toolResponse": {"id": "t", "toolType": "x", "response": {"mimeType": T, "data": T}}})),
    "gemini, a name": ("google.gemini", gemini({"inlineData": {"mimeType": "image/png", "data": "eA==", "displayName": T}})),
    "gemini, of itself": ("google.gemini", gemini(modelStatus={"message": T}, promptFeedback={"blockReasonMessage": T})),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_string_that_could_be_taken_for_words_is_looked_at(carrier, cards):
    dialect, tree = CARRIERS[carrier]
    texts, found = DIALECTS[dialect].TEXTS, []
    assert looked_at(json.dumps(tree).encode(), texts, cards(), lambda hit, words: found.append(words)) == ()
    assert set(found) == {CARD}
    out = cleaned(json.dumps(tree).encode(), texts, cards(), explain)
    assert b"1111" not in out.body
    assert b"hi" in out.body or dialect == "openai.responses" or "parts" in carrier


@pytest.mark.parametrize(
    "item",
    [
        {"type": "shell_call", "id": "w", "call_id": "c", "action": {"commands": [T]}, "environment": {"type": "container_reference"}},
        {"type": "tool_search_call", "id": "w", "call_id": "c", "arguments": {"q": T}, "execution": "server"},
    ],
)
def test_what_the_provider_runs_may_have_been_judged_so_that_its_words_end_the_answer(item, cards):
    texts, body = DIALECTS["openai.responses"].TEXTS, json.dumps(responses(item, message())).encode()
    assert looked_at(body, texts, cards(), lambda hit, words: None)
    assert b"1111" not in cleaned(body, texts, cards(), explain).body
    client = json.dumps(responses(item | {"environment": {"type": "local"}, "execution": "client"})).encode()
    assert cleaned(client, texts, cards(), explain).body == client


def test_an_item_that_is_none_has_no_words(cards):
    body = json.dumps(responses(7, message())).encode()
    assert cleaned(body, DIALECTS["openai.responses"].TEXTS, cards(), explain).body == body


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
