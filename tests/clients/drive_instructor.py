"""Drives instructor over Chat Completions and Messages and prints what it saw as JSON.

`python drive_instructor.py URL KEY MODEL`. It takes nothing but a tool call, which becomes an object: after a text it asks again until its
retries are used up, and raises. What it was told at each try stands in its exception. Several calls have a mode of their own.
"""

import json
import sys
from collections.abc import Iterable

import anthropic
import instructor
import openai
from instructor.core import InstructorRetryException
from pydantic import BaseModel

RETRIES = 2


class look_up(BaseModel):  # noqa: N801 - the name is the tool's name
    city: str


class delete_all(BaseModel):  # noqa: N801
    path: str


def chat_results(raw):
    said = raw.choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in said.tool_calls]
    return [said.model_dump(exclude_none=True), *results]


def messages_results(raw):
    results = [{"type": "tool_result", "tool_use_id": each.id, "content": "ok"} for each in raw.content if each.type == "tool_use"]
    said = [each.model_dump(exclude_none=True) for each in raw.content]
    return [{"role": "assistant", "content": said}, {"role": "user", "content": results}]


def plain_chat(model, history):
    return openai.OpenAI().chat.completions.create(model=model, messages=history).choices[0].message.content


def plain_messages(model, history):
    return anthropic.Anthropic().messages.create(model=model, messages=history, max_tokens=500).content[0].text


def play(client, model, results, plain, **more):
    ran, raw = [], []
    client.on("completion:response", raw.append)
    history = [{"role": "user", "content": "Please do it."}]
    try:
        answer = client.create(model=model, messages=history, response_model=wanted(model), max_retries=RETRIES, **more)
        answers = list(answer) if several(model) else [answer]
    except InstructorRetryException as given_up:
        return {"ran": ran, "text": "\n".join(each.completion.model_dump_json() for each in given_up.failed_attempts)}
    ran += [[type(each).__name__, each.model_dump()] for each in answers]
    return {"ran": ran, "text": plain(model, [*history, *results(raw[-1])])}


def several(model):
    return model.endswith("two_calls")


def wanted(model):
    if several(model):
        return Iterable[look_up | delete_all]
    return delete_all if model.endswith("denied") else look_up


def main(url, key, model):
    tools, uses = instructor.Mode.TOOLS, instructor.Mode.ANTHROPIC_TOOLS
    if several(model):
        tools, uses = instructor.Mode.PARALLEL_TOOLS, instructor.Mode.ANTHROPIC_PARALLEL_TOOLS
    by_chat = instructor.from_openai(openai.OpenAI(), mode=tools)
    by_messages = instructor.from_anthropic(anthropic.Anthropic(), mode=uses)
    loops = {
        "chat": play(by_chat, model, chat_results, plain_chat),
        "messages": play(by_messages, model, messages_results, plain_messages, max_tokens=500),
    }
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
