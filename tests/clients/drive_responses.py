"""Drives the installed openai SDK through a tool loop over the Responses API, in four ways, and prints what it saw as JSON.

`python drive_responses.py BASE_URL KEY MODEL SESSION`. Two ways send the whole conversation each turn, two build on what the provider
keeps.
"""

import asyncio
import json
import sys

import openai

TOOLS = [
    {
        "type": "function",
        "name": name,
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {p: {"type": kind} for p, kind in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
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
    """The conversation and what was run; the asking differs by mode."""

    def __init__(self, model, stored):
        self.model = model
        self.stored = stored
        self.history = [{"role": "user", "content": "Please do it."}]
        self.previous = None
        self.ran = []
        self.finishes = []
        self.text = ""

    def request(self):
        kept = {"previous_response_id": self.previous} if self.stored and self.previous else {}
        return {"model": self.model, "input": self.history, "tools": TOOLS, "store": self.stored, **kept}

    def go_on(self, response):
        """Takes an answer in; True while there are calls to run."""
        calls = [item for item in response.output if item.type == "function_call"]
        self.finishes.append("calls" if calls else response.status)
        self.text = response.output_text
        self.previous = response.id
        results = []
        for call in calls:
            self.ran.append([call.name, json.loads(call.arguments)])
            results.append({"type": "function_call_output", "call_id": call.call_id, "output": "ok"})
        said = [] if self.stored else [item.to_dict() for item in response.output]
        self.history = [*([] if self.stored else self.history), *said, *results]
        return bool(calls) and len(self.finishes) < MOST_TURNS

    def seen(self):
        return {"ran": self.ran, "finishes": self.finishes, "text": self.text}


def sync_whole(client, loop):
    while loop.go_on(client.responses.create(**loop.request())):
        continue


def sync_stream(client, loop):
    while True:
        with client.responses.stream(**loop.request()) as stream:
            for _ in stream:
                continue
            if not loop.go_on(stream.get_final_response()):
                return


async def async_whole(client, loop):
    while loop.go_on(await client.responses.create(**loop.request())):
        continue


async def async_stream(client, loop):
    while True:
        async with client.responses.stream(**loop.request()) as stream:
            async for _ in stream:
                continue
            if not loop.go_on(await stream.get_final_response()):
                return


def main(base_url, key, model, session):
    given = {"base_url": base_url, "api_key": key, "max_retries": 0, "default_headers": {"x-session-id": session}}
    loops = {name: Loop(model, "stored" in name) for name in ("sync", "sync-stream-stored", "async-stored", "async-stream")}
    sync_whole(openai.OpenAI(**given), loops["sync"])
    sync_stream(openai.OpenAI(**given), loops["sync-stream-stored"])
    asyncio.run(async_whole(openai.AsyncOpenAI(**given), loops["async-stored"]))
    asyncio.run(async_stream(openai.AsyncOpenAI(**given), loops["async-stream"]))
    print(json.dumps({"version": openai.__version__, "loops": {name: loop.seen() for name, loop in loops.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
