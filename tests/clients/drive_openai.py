"""Drives the installed openai SDK through a tool loop, in four ways, and prints what it saw as JSON.

`python drive_openai.py BASE_URL KEY MODEL SESSION`. A script, not a module: it also runs in environments that hold nothing but the SDK.
"""

import asyncio
import json
import sys

import openai

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {p: {"type": kind} for p, kind in properties.items()},
                "required": list(properties),
                "additionalProperties": False,
            },
        },
    }
    for name, properties in {
        "look_up": {"city": "string"},
        "delete_all": {"path": "string"},
        "send_money": {"amount": "number", "note": "string"},
    }.items()
]
MOST_TURNS = 6


class Loop:
    """The history and what was run; the asking differs by mode."""

    def __init__(self, model):
        self.model = model
        self.history = [{"role": "user", "content": "Please do it."}]
        self.ran = []
        self.finishes = []
        self.text = ""

    def request(self):
        return {"model": self.model, "messages": self.history, "tools": TOOLS}

    def go_on(self, completion):
        """Takes an answer in; True while there are calls to run."""
        choice = completion.choices[0]
        self.finishes.append(choice.finish_reason)
        self.text = choice.message.content or ""
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in choice.message.tool_calls or []
        ]
        self.history.append(
            {"role": "assistant", "content": choice.message.content, **({"tool_calls": calls} if calls else {})}
        )
        for call in calls:
            self.ran.append([call["function"]["name"], json.loads(call["function"]["arguments"])])
            self.history.append({"role": "tool", "tool_call_id": call["id"], "content": "ok"})
        return bool(calls) and len(self.finishes) < MOST_TURNS

    def seen(self):
        return {"ran": self.ran, "finishes": self.finishes, "text": self.text}


def sync_whole(client, loop):
    while loop.go_on(client.chat.completions.create(**loop.request())):
        continue


def sync_stream(client, loop):
    while True:
        with client.chat.completions.stream(**loop.request()) as stream:
            for _ in stream:
                continue
            if not loop.go_on(stream.get_final_completion()):
                return


async def async_whole(client, loop):
    while loop.go_on(await client.chat.completions.create(**loop.request())):
        continue


async def async_stream(client, loop):
    while True:
        async with client.chat.completions.stream(**loop.request()) as stream:
            async for _ in stream:
                continue
            if not loop.go_on(await stream.get_final_completion()):
                return


def main(base_url, key, model, session):
    given = {"base_url": base_url, "api_key": key, "max_retries": 0, "default_headers": {"x-session-id": session}}
    loops = {name: Loop(model) for name in ("sync", "sync-stream", "async", "async-stream")}
    sync_whole(openai.OpenAI(**given), loops["sync"])
    sync_stream(openai.OpenAI(**given), loops["sync-stream"])
    asyncio.run(async_whole(openai.AsyncOpenAI(**given), loops["async"]))
    asyncio.run(async_stream(openai.AsyncOpenAI(**given), loops["async-stream"]))
    print(json.dumps({"version": openai.__version__, "loops": {name: loop.seen() for name, loop in loops.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
