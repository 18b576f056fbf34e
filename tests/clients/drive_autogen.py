"""Drives an AutoGen assistant over Chat Completions and Messages, whole and streamed, and prints what it saw as JSON.

`python drive_autogen.py URL KEY MODEL`. Nothing but the SDKs' variables is set.
"""

import asyncio
import json
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.anthropic import AnthropicChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from framework_tools import tools_of

INFO = {"vision": False, "function_calling": True, "json_output": False, "structured_output": False, "family": "unknown"}


async def play(client, stream):
    ran = []
    agent = AssistantAgent("a", client, tools=tools_of(ran), model_client_stream=stream, max_tool_iterations=6)
    result = await agent.run(task="Please do it.")
    await client.close()
    return {"ran": ran, "text": result.messages[-1].content}


async def every_way(model):
    loops = {}
    for name, made in {"chat": OpenAIChatCompletionClient, "messages": AnthropicChatCompletionClient}.items():
        for stream in (False, True):
            loops[f"{name}{'-stream' if stream else ''}"] = await play(made(model=model, model_info=INFO), stream)
    return loops


def main(url, key, model):
    print(json.dumps({"loops": asyncio.run(every_way(model))}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
