"""Drives a Semantic Kernel agent over Chat Completions, whole and streamed, and prints what it saw as JSON.

`python drive_semantic_kernel.py URL KEY MODEL`. Functions are named plugin-function on the wire. Nothing but the SDK's variables is set.
"""

import asyncio
import json
import sys

from framework_tools import tools_of
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import KernelPlugin, kernel_function


async def play(model, stream):
    ran = []
    desk = KernelPlugin("desk", functions=[kernel_function(each) for each in tools_of(ran)])
    agent = ChatCompletionAgent(service=OpenAIChatCompletion(ai_model_id=model), name="a", instructions="Be kind.", plugins=[desk])
    if not stream:
        return {"ran": ran, "text": str(await agent.get_response("Please do it."))}
    pieces = [str(piece.message) async for piece in agent.invoke_stream("Please do it.")]
    return {"ran": ran, "text": "".join(pieces)}


def main(url, key, model):
    loops = {name: asyncio.run(play(model, stream)) for name, stream in {"whole": False, "stream": True}.items()}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
