"""Drives a Pydantic AI agent over OpenAI (Chat Completions and Responses), Anthropic and Google, and prints what it saw as JSON.

`python drive_pydantic_ai.py URL KEY MODEL`. Nothing but base URL and key is set.
"""

import json
import os
import sys

from framework_tools import tools_of


def main(url, key, model):
    os.environ |= {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
    }
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.google import GoogleProvider

    models = {
        "chat": OpenAIChatModel(model),
        "responses": OpenAIResponsesModel(model),
        "messages": AnthropicModel(model),
        "gemini": GoogleModel(model, provider=GoogleProvider(api_key=key, base_url=url)),
    }
    loops = {}
    for name, made in models.items():
        ran = []
        agent = Agent(made, system_prompt="Be kind.", tools=tools_of(ran))
        loops[name] = {"ran": ran, "text": agent.run_sync("Please do it.").output}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
