"""Drives Google's Agent Development Kit over Gemini, whole and streamed, and prints what it saw as JSON.

`python drive_adk.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import asyncio
import json
import sys

from framework_tools import tools_of
from google.adk.agents import Agent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models import Gemini
from google.adk.runners import InMemoryRunner
from google.genai import types


async def play(model, mode):
    ran = []
    agent = Agent(name="a", model=Gemini(model=model), instruction="Be kind.", tools=tools_of(ran))
    runner = InMemoryRunner(agent, app_name="matrix")
    session = await runner.session_service.create_session(app_name="matrix", user_id="u")
    asked = types.Content(role="user", parts=[types.Part(text="Please do it.")])
    going = runner.run_async(user_id="u", session_id=session.id, new_message=asked, run_config=RunConfig(streaming_mode=mode))
    text = ""
    async for event in going:
        if event.error_code:
            sys.exit(f"it ended with an error: {event.error_code} {event.error_message}")
        if event.is_final_response() and event.content:
            text = "".join(part.text or "" for part in event.content.parts or ())
    return {"ran": ran, "text": text}


def main(url, key, model):
    modes = {"whole": StreamingMode.NONE, "stream": StreamingMode.SSE}
    print(json.dumps({"loops": {name: asyncio.run(play(model, mode)) for name, mode in modes.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
