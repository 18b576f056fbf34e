"""Drives the litellm SDK over Chat Completions, Responses, Messages and Gemini, whole and streamed, and prints what it saw as JSON.

`python drive_litellm.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import json
import sys

import litellm

TOOLS = {"look_up": "city", "delete_all": "path"}
MOST_TURNS = 6
USER = {"role": "user", "content": "Please do it."}


def schema(argument):
    return {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}


def completion(model, ran, stream):
    functions = [{"name": name, "description": name, "parameters": schema(argument)} for name, argument in TOOLS.items()]
    history = [USER]
    for _ in range(MOST_TURNS):
        tools = [{"type": "function", "function": each} for each in functions]
        answer = litellm.completion(model=model, messages=history, tools=tools, stream=stream, max_tokens=500)
        whole = litellm.stream_chunk_builder(list(answer), messages=history) if stream else answer
        message = whole.choices[0].message
        if not message.tool_calls:
            return message.content
        history.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            ran.append([call.function.name, json.loads(call.function.arguments)])
            history.append({"role": "tool", "tool_call_id": call.id, "content": "ok"})
    return "too many turns"


def responses(model, ran, stream):
    tools = [{"type": "function", "name": name, "parameters": schema(argument)} for name, argument in TOOLS.items()]
    history = [USER]
    for _ in range(MOST_TURNS):
        answer = litellm.responses(model=model, input=history, tools=tools, stream=stream)
        if stream:
            answer = next(event.response for event in answer if event.type == "response.completed")
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return "".join(part.text for item in answer.output if item.type == "message" for part in item.content)
        for call in calls:
            ran.append([call.name, json.loads(call.arguments)])
            history.append({"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments})
            history.append({"type": "function_call_output", "call_id": call.call_id, "output": "ok"})
    return "too many turns"


def main(url, key, model):
    ways = {
        "chat": (completion, f"openai/{model}"),
        "messages": (completion, f"anthropic/{model}"),
        "gemini": (completion, f"gemini/{model}"),
        "responses": (responses, f"openai/{model}"),
    }
    loops = {}
    for name, (play, through) in ways.items():
        for stream in (False, True):
            ran = []
            loops[f"{name}{'-stream' if stream else ''}"] = {"ran": ran, "text": play(through, ran, stream)}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
