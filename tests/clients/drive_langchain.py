"""Drives a LangChain agent over OpenAI (Chat Completions and Responses), Anthropic and Google, and prints what it saw as JSON.

`python drive_langchain.py URL KEY MODEL`. Nothing but base URL and key is set.
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
        "GOOGLE_API_KEY": key,
    }
    from langchain.agents import create_agent
    from langchain_anthropic import ChatAnthropic
    from langchain_google_genai import ChatGoogleGenerativeAI
    from langchain_openai import ChatOpenAI

    loops = {}
    models = {
        "chat": lambda: ChatOpenAI(model=model),
        "responses": lambda: ChatOpenAI(model=model, use_responses_api=True),
        "messages": lambda: ChatAnthropic(model=model),
        "gemini": lambda: ChatGoogleGenerativeAI(model=model, base_url=url),
    }
    for name, made in models.items():
        ran = []
        agent = create_agent(made(), tools=tools_of(ran), system_prompt="Be kind.")
        answer = agent.invoke({"messages": [{"role": "user", "content": "Please do it."}]})
        loops[name] = {"ran": ran, "text": answer["messages"][-1].text}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
