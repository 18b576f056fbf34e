"""Drives the installed anthropic SDK through a tool loop, in four ways, and prints what it saw as JSON.

`python drive_anthropic.py BASE_URL KEY MODEL SESSION`. A script, not a module: it also runs in environments that hold nothing but the SDK.
"""

import asyncio
import json
import sys

import anthropic

TOOLS = [
    {
        "name": name,
        "input_schema": {"type": "object", "properties": {p: {"type": kind} for p, kind in properties.items()}},
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
        return {"model": self.model, "max_tokens": 500, "messages": self.history, "tools": TOOLS}

    def go_on(self, message):
        """Takes an answer in; True while there are calls to run."""
        self.finishes.append(message.stop_reason)
        self.text = "\n".join(block.text for block in message.content if block.type == "text")
        calls = [block for block in message.content if block.type == "tool_use"]
        self.history.append({"role": "assistant", "content": [as_sent(block) for block in message.content]})
        if not calls:
            return False
        self.ran.extend([call.name, call.input] for call in calls)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "ok"} for call in calls]
        self.history.append({"role": "user", "content": results})
        return len(self.finishes) < MOST_TURNS

    def seen(self):
        return {"ran": self.ran, "finishes": self.finishes, "text": self.text}


def as_sent(block):
    if block.type == "text":
        return {"type": "text", "text": block.text}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}


def sync_whole(client, loop):
    while loop.go_on(client.messages.create(**loop.request())):
        continue


def sync_stream(client, loop):
    while True:
        with client.messages.stream(**loop.request()) as stream:
            for _ in stream:
                continue
            if not loop.go_on(stream.get_final_message()):
                return


async def async_whole(client, loop):
    while loop.go_on(await client.messages.create(**loop.request())):
        continue


async def async_stream(client, loop):
    while True:
        async with client.messages.stream(**loop.request()) as stream:
            async for _ in stream:
                continue
            if not loop.go_on(await stream.get_final_message()):
                return


def main(base_url, key, model, session):
    given = {"base_url": base_url, "api_key": key, "max_retries": 0, "default_headers": {"x-session-id": session}}
    loops = {name: Loop(model) for name in ("sync", "sync-stream", "async", "async-stream")}
    sync_whole(anthropic.Anthropic(**given), loops["sync"])
    sync_stream(anthropic.Anthropic(**given), loops["sync-stream"])
    asyncio.run(async_whole(anthropic.AsyncAnthropic(**given), loops["async"]))
    asyncio.run(async_stream(anthropic.AsyncAnthropic(**given), loops["async-stream"]))
    print(json.dumps({"version": anthropic.__version__, "loops": {name: loop.seen() for name, loop in loops.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
