"""Drives the anthropic SDK's own tool runner, whole and streamed, in threads and without, and prints what it saw as JSON.

`python drive_anthropic_runner.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import asyncio
import json
import sys

from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool
from framework_tools import tools_of


def asynchronous(function):
    async def run(**given):
        return function(**given)

    return beta_async_tool(run, name=function.__name__, description=function.__doc__, input_schema=beta_tool(function).input_schema)


def text_of(message):
    return "\n".join(block.text for block in message.content if block.type == "text")


def play(model, stream):
    ran = []
    asked = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": "Please do it."}]}
    runner = Anthropic().beta.messages.tool_runner(**asked, tools=[beta_tool(each) for each in tools_of(ran)], stream=stream)
    return {"ran": ran, "text": text_of(runner.until_done())}


async def play_async(model, stream):
    ran = []
    asked = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": "Please do it."}]}
    runner = AsyncAnthropic().beta.messages.tool_runner(**asked, tools=[asynchronous(each) for each in tools_of(ran)], stream=stream)
    return {"ran": ran, "text": text_of(await runner.until_done())}


def main(url, key, model):
    loops = {}
    for stream in (False, True):
        loops[f"sync{'-stream' if stream else ''}"] = play(model, stream)
        loops[f"async{'-stream' if stream else ''}"] = asyncio.run(play_async(model, stream))
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
