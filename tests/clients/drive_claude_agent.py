"""Drives the Claude Agent SDK, which brings its own Claude Code, with tools of this process, and prints what it saw as JSON.

`python drive_claude_agent.py URL KEY MODEL`. The tools are named mcp__server__tool on the wire. Nothing but variables is set.
"""

import asyncio
import json
import sys

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ResultMessage,
    TextBlock,
    create_sdk_mcp_server,
    query,
    tool,
)


def server_of(ran):
    def added(name, arguments):
        async def run(given):
            ran.append([name, given])
            return {"content": [{"type": "text", "text": "ok"}]}

        return tool(name, name, arguments)(run)

    return create_sdk_mcp_server("desk", tools=[added("look_up", {"city": str}), added("delete_all", {"path": str})])


async def play(model):
    ran, said = [], []
    options = ClaudeAgentOptions(
        model=model,
        mcp_servers={"desk": server_of(ran)},
        allowed_tools=["mcp__desk__look_up", "mcp__desk__delete_all"],
        max_turns=6,
    )
    async for message in query(prompt="Please do it.", options=options):
        if isinstance(message, AssistantMessage):
            said += [block.text for block in message.content if isinstance(block, TextBlock)]
        if isinstance(message, ResultMessage):
            said.append(message.result or "")
            if message.is_error:
                sys.exit(f"it ended with an error: {message.result}")
    return {"ran": ran, "text": said[-1]}


def main(url, key, model):
    print(json.dumps({"loops": {"messages": asyncio.run(play(model))}}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
