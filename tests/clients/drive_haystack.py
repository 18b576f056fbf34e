"""Drives a Haystack agent over Chat Completions and Responses, whole and streamed, and prints what it saw as JSON.

`python drive_haystack.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import json
import sys

from framework_tools import tools_of
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function


def play(generator, stream):
    ran = []
    tools = [create_tool_from_function(each) for each in tools_of(ran)]
    callback = (lambda chunk: None) if stream else None
    agent = Agent(chat_generator=generator, tools=tools, system_prompt="Be kind.", max_agent_steps=6, streaming_callback=callback)
    return {"ran": ran, "text": agent.run([ChatMessage.from_user("Please do it.")])["last_message"].text}


def main(url, key, model):
    loops = {}
    for name, made in {"chat": OpenAIChatGenerator, "responses": OpenAIResponsesChatGenerator}.items():
        for stream in (False, True):
            loops[f"{name}{'-stream' if stream else ''}"] = play(made(model=model), stream)
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
