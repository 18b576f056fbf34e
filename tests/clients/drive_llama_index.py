"""Drives a LlamaIndex agent over Chat Completions and Messages, whole and streamed, and prints what it saw as JSON.

`python drive_llama_index.py URL KEY MODEL`. Anthropic's base URL is given in code: no variable changes it.
"""

import asyncio
import json
import sys

from framework_tools import tools_of
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI

CONTEXT = 100_000


class Told:
    """What LlamaIndex looks up by a model's name; these names are ours."""

    @property
    def metadata(self):
        return LLMMetadata(context_window=CONTEXT, is_chat_model=True, is_function_calling_model=True, model_name=self.model)


class Chat(Told, OpenAI):
    pass


class Messages(Told, Anthropic):
    pass


async def play(llm, stream):
    ran = []
    agent = FunctionAgent(tools=tools_of(ran), llm=llm, system_prompt="Be kind.", streaming=stream)
    answer = await agent.run("Please do it.")
    return {"ran": ran, "text": str(answer)}


async def every_way(url, model):
    loops = {}
    models = {"chat": Chat(model=model), "messages": Messages(model=model, base_url=url, max_tokens=500)}
    for name, llm in models.items():
        for stream in (False, True):
            loops[f"{name}{'-stream' if stream else ''}"] = await play(llm, stream)
    return loops


def main(url, key, model):
    print(json.dumps({"loops": asyncio.run(every_way(url, model))}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
