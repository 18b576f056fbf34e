"""Drives a Strands agent over Chat Completions and Messages, and prints what it saw as JSON.

`python drive_strands.py URL KEY MODEL`. Nothing but the SDKs' variables is set.
"""

import json
import sys

from framework_tools import tools_of
from strands import Agent, tool
from strands.models.anthropic import AnthropicModel
from strands.models.openai import OpenAIModel
from strands.models.openai_responses import OpenAIResponsesModel


def play(model):
    ran = []
    agent = Agent(model=model, tools=[tool(each) for each in tools_of(ran)], system_prompt="Be kind.", callback_handler=None)
    return {"ran": ran, "text": str(agent("Please do it."))}


def main(url, key, model):
    models = {
        "chat": OpenAIModel(model_id=model),
        "responses": OpenAIResponsesModel(model_id=model),
        "messages": AnthropicModel(model_id=model, max_tokens=500),
    }
    print(json.dumps({"loops": {name: play(made) for name, made in models.items()}}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
