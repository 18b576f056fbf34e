"""Drives an Agno agent over Chat Completions, Responses and Messages, whole and streamed, and prints what it saw as JSON.

`python drive_agno.py URL KEY MODEL`. Nothing but the SDKs' variables is set.
"""

import json
import sys

from agno.agent import Agent
from agno.models.anthropic import Claude
from agno.models.openai import OpenAIChat, OpenAIResponses
from framework_tools import tools_of


def play(model, stream):
    ran = []
    agent = Agent(model=model, tools=tools_of(ran), instructions="Be kind.", telemetry=False)
    if not stream:
        return {"ran": ran, "text": agent.run("Please do it.").content}
    pieces = [event.content for event in agent.run("Please do it.", stream=True) if event.event == "RunContent"]
    return {"ran": ran, "text": "".join(piece or "" for piece in pieces)}


def main(url, key, model):
    loops = {}
    for name, made in {"chat": OpenAIChat, "responses": OpenAIResponses, "messages": Claude}.items():
        for stream in (False, True):
            loops[f"{name}{'-stream' if stream else ''}"] = play(made(id=model), stream)
    print("\n" + json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
