"""Drives Agent Framework over Responses and Chat Completions, whole and streamed, and prints what it saw as JSON.

`python drive_agent_framework.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import asyncio
import json
import sys

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient
from framework_tools import tools_of


async def play(client, stream):
    ran = []
    agent = Agent(client, instructions="Be kind.", tools=tools_of(ran))
    if not stream:
        return {"ran": ran, "text": (await agent.run("Please do it.")).text}
    pieces = [update.text async for update in agent.run("Please do it.", stream=True)]
    return {"ran": ran, "text": "".join(pieces)}


async def every_way(model):
    loops = {}
    for name, made in {"responses": OpenAIChatClient, "chat": OpenAIChatCompletionClient}.items():
        for stream in (False, True):
            loops[f"{name}{'-stream' if stream else ''}"] = await play(made(model=model), stream)
    return loops


def main(url, key, model):
    print(json.dumps({"loops": asyncio.run(every_way(model))}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
