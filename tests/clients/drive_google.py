"""Drives the installed google-genai SDK through a tool loop, in four ways, and prints what it saw as JSON.

`python drive_google.py BASE_URL KEY MODEL SESSION`. A script, not a module: it also runs in environments that hold nothing but the SDK.
"""

import asyncio
import json
import sys

from google import genai
from google.genai import types

DECLARED = {
    "look_up": {"city": "string"},
    "delete_all": {"path": "string"},
    "send_money": {"amount": "number", "note": "string"},
}
CONFIG = types.GenerateContentConfig(
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(
                    name=name,
                    parameters=types.Schema(
                        type="OBJECT",
                        properties={p: types.Schema(type=kind.upper()) for p, kind in properties.items()},
                        required=list(properties),
                    ),
                )
                for name, properties in DECLARED.items()
            ]
        )
    ],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)
MOST_TURNS = 6


class Loop:
    """The conversation and what was run; the asking differs by mode."""

    def __init__(self, model):
        self.model = model
        self.history = [types.Content(role="user", parts=[types.Part(text="Please do it.")])]
        self.ran = []
        self.finishes = []
        self.text = ""

    def request(self):
        return {"model": self.model, "contents": self.history, "config": CONFIG}

    def go_on(self, answers):
        """Takes the pieces of an answer in; True while there are calls to run."""
        parts = [p for a in answers for c in a.candidates or () if c.content for p in c.content.parts or ()]
        calls = [part.function_call for part in parts if part.function_call]
        reasons = {c.finish_reason.value for a in answers for c in a.candidates or () if c.finish_reason}
        self.finishes.append("calls" if calls else ",".join(sorted(reasons)))
        self.text = "".join(part.text or "" for part in parts)
        self.history.append(types.Content(role="model", parts=parts))
        results = []
        for call in calls:
            self.ran.append([call.name, dict(call.args or {})])
            answer = types.FunctionResponse(id=call.id, name=call.name, response={"result": "ok"})
            results.append(types.Part(function_response=answer))
        if results:
            self.history.append(types.Content(role="user", parts=results))
        return bool(calls) and len(self.finishes) < MOST_TURNS

    def seen(self):
        return {"ran": self.ran, "finishes": self.finishes, "text": self.text}


def sync_whole(client, loop):
    while loop.go_on([client.models.generate_content(**loop.request())]):
        continue


def sync_stream(client, loop):
    while loop.go_on(list(client.models.generate_content_stream(**loop.request()))):
        continue


async def async_whole(client, loop):
    while loop.go_on([await client.aio.models.generate_content(**loop.request())]):
        continue


async def async_stream(client, loop):
    while loop.go_on([piece async for piece in await client.aio.models.generate_content_stream(**loop.request())]):
        continue


def main(base_url, key, model, session):
    options = types.HttpOptions(base_url=base_url, headers={"x-session-id": session})
    loops = {name: Loop(model) for name in ("sync", "sync-stream", "async", "async-stream")}
    sync_whole(genai.Client(api_key=key, http_options=options), loops["sync"])
    sync_stream(genai.Client(api_key=key, http_options=options), loops["sync-stream"])
    asyncio.run(async_whole(genai.Client(api_key=key, http_options=options), loops["async"]))
    asyncio.run(async_stream(genai.Client(api_key=key, http_options=options), loops["async-stream"]))
    print(json.dumps({"version": genai.__version__, "loops": {name: loop.seen() for name, loop in loops.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
