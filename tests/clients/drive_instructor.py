"""Drives instructor over Chat Completions and Messages and prints what it saw as JSON.

`python drive_instructor.py URL KEY MODEL`. It takes nothing but a tool call, which becomes an object: after a text it asks again until its
retries are used up, and raises. What it was told at each try stands in its exception.
"""

import json
import sys

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


def chat(client, asked, ran):
    answer, raw = client.create_with_completion(**asked)
    ran.append([type(answer).__name__, answer.model_dump()])
    calls = raw.choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in calls.tool_calls]
    history = [*asked["messages"], calls.model_dump(exclude_none=True), *results]
    plain = openai.OpenAI().chat.completions.create(model=asked["model"], messages=history)
    return plain.choices[0].message.content


def messages(client, asked, ran):
    answer, raw = client.create_with_completion(**asked)
    ran.append([type(answer).__name__, answer.model_dump()])
    results = [{"type": "tool_result", "tool_use_id": each.id, "content": "ok"} for each in raw.content if each.type == "tool_use"]
    said = {"role": "assistant", "content": [each.model_dump(exclude_none=True) for each in raw.content]}
    history = [*asked["messages"], said, {"role": "user", "content": results}]
    plain = anthropic.Anthropic().messages.create(model=asked["model"], messages=history, max_tokens=500)
    return plain.content[0].text


def play(ask, client, model, **more):
    ran = []
    wanted = delete_all if model.endswith("denied") else look_up
    user = {"role": "user", "content": "Please do it."}
    asked = {"model": model, "messages": [user], "response_model": wanted, "max_retries": RETRIES, **more}
    try:
        text = ask(client, asked, ran)
    except InstructorRetryException as given_up:
        text = "\n".join(each.completion.model_dump_json() for each in given_up.failed_attempts)
    return {"ran": ran, "text": text}


def main(url, key, model):
    loops = {
        "chat": play(chat, instructor.from_openai(openai.OpenAI()), model),
        "messages": play(messages, instructor.from_anthropic(anthropic.Anthropic()), model, max_tokens=500),
    }
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
