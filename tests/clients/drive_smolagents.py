"""Drives smolagents' tool-calling agent over Chat Completions and prints what it saw as JSON.

`python drive_smolagents.py URL KEY MODEL`. It knows no end but a tool call: after a text it asks again until its steps are used up, and
then once more for a last word. What it says then is whatever the model says; our text stands in the steps.
"""

import json
import sys

from framework_tools import tools_of
from smolagents import LogLevel, OpenAIModel, ToolCallingAgent, tool

STEPS = 2


def documented(function):
    """smolagents wants every argument in the docstring."""
    names = [name for name in function.__annotations__ if name != "return"]
    function.__doc__ += "\n\nArgs:\n" + "\n".join(f"    {name}: the {name}" for name in names)
    return tool(function)


def play(through, stream):
    ran = []
    tools = [documented(each) for each in tools_of(ran)]
    agent = ToolCallingAgent(tools=tools, model=through, max_steps=STEPS, verbosity_level=LogLevel.OFF, stream_outputs=stream)
    said = [str(agent.run("Please do it."))]
    said.extend(str(getattr(step, "model_output", None) or "") for step in agent.memory.steps)
    return {"ran": ran, "text": "\n".join(said)}


def main(url, key, model):
    through = OpenAIModel(model, api_base=f"{url}/v1", api_key=key)
    loops = {"chat": play(through, stream=False), "chat-stream": play(through, stream=True)}
    print("\n" + json.dumps({"loops": loops}))  # what it streams ends in no newline


if __name__ == "__main__":
    main(*sys.argv[1:4])
