"""Streams of the four dialects, made of pieces of text, and what a client puts together from them."""

import json
import re


def frame(tree, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree, separators=(",", ":")).encode() + b"\n\n"


def chat(pieces, key="content", finish="stop"):
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    frames = [{**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
    for p in pieces:
        choice = {"index": 0, "delta": {key: p}, "logprobs": {"content": [{"token": p}]}, "finish_reason": None}
        frames.append({**head, "choices": [choice]})
    frames.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    frames.append({**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}})
    return b"".join(map(frame, frames)) + b"data: [DONE]\n\n"


def messages(pieces, kind="text"):
    block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": {}}
    events = [{"type": "message_start", "message": message}, {"type": "content_block_start", "index": 0, "content_block": block}]
    events += [{"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: p}} for p in pieces]
    if kind == "thinking":
        events.append({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}})
    events.append({"type": "content_block_stop", "index": 0})
    events.append({"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": {"output_tokens": 9}})
    events.append({"type": "message_stop"})
    return b"".join(frame(event, event["type"]) for event in events)


def responses(pieces):
    text, about = "".join(pieces), {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    note = {"type": "url_citation", "url": "https://example.com/", "title": "t", "start_index": 0, "end_index": 4}
    part = {"type": "output_text", "text": text, "annotations": [note], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    response = {"id": "r1", "object": "response", "status": "in_progress", "model": "m", "output": []}
    events = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **about, "part": {**part, "text": "", "annotations": []}},
        *({"type": "response.output_text.delta", **about, "delta": p, "logprobs": []} for p in pieces),
        {"type": "response.output_text.annotation.added", **about, "annotation_index": 0, "annotation": note},
        {"type": "response.output_text.done", **about, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **about, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "status": "completed", "output": [item], "usage": {"output_tokens": 9}}},
    ]
    return b"".join(frame({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events))


def gemini(pieces):
    def event(part, **more):
        return frame({"candidates": [{"content": {"parts": part, "role": "model"}, "index": 0, **more}], "responseId": "g1"})

    last = {"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]}
    return b"".join(event([{"text": p}]) for p in pieces) + frame({**last, "usageMetadata": {"candidatesTokenCount": 9}})


WIRES = {"openai.chat": chat, "anthropic.messages": messages, "openai.responses": responses, "google.gemini": gemini}


def trees(data):
    found = re.findall(rb"^data: (.*)$", data, re.MULTILINE)
    return [json.loads(line) for line in found if line != b"[DONE]"]


def said(dialect, data):
    """What a client puts together from the pieces."""
    if dialect == "openai.chat":
        return "".join(c["delta"].get("content") or "" for t in trees(data) for c in t["choices"])
    if dialect == "anthropic.messages":
        return "".join(t["delta"]["text"] for t in trees(data) if t.get("delta", {}).get("type") == "text_delta")
    if dialect == "openai.responses":
        return "".join(t["delta"] for t in trees(data) if t["type"] == "response.output_text.delta")
    return "".join(p["text"] for t in trees(data) for c in t.get("candidates", ()) for p in c.get("content", {}).get("parts", ()))
