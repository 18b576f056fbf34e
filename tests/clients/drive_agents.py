"""Drives the OpenAI Agents SDK, over Responses and over Chat Completions, whole and streamed, and prints what it saw as JSON.

`python drive_agents.py URL KEY MODEL`. Nothing but base URL and key is set.
"""

import asyncio
import json
import os
import sys

from framework_tools import tools_of


async def run(model, stream, ran):
    from agents import Agent, Runner, function_tool

    tools = [function_tool(each) for each in tools_of(ran)]
    agent = Agent(name="a", instructions="Be kind.", model=model, tools=tools)
    if not stream:
        return (await Runner.run(agent, "Please do it.")).final_output
    result = Runner.run_streamed(agent, "Please do it.")
    async for _ in result.stream_events():
        continue
    return result.final_output


async def every_way(model):
    import agents

    loops = {}
    for api in ("responses", "chat_completions"):
        agents.set_default_openai_api(api)
        for stream in (False, True):
            ran = []
            text = await run(model, stream, ran)
            loops[f"{api}{'-stream' if stream else ''}"] = {"ran": ran, "text": text}
    return loops


def main(url, key, model):
    os.environ |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key, "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    print(json.dumps({"loops": asyncio.run(every_way(model))}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
