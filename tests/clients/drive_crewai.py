"""Drives a CrewAI crew of one agent over Chat Completions and Messages and prints what it saw as JSON.

`python drive_crewai.py URL KEY MODEL`. Nothing but variables is set.
"""

import json
import sys

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from framework_tools import tools_of


def play(llm):
    ran = []
    tools = [tool(each.__name__)(each) for each in tools_of(ran)]
    agent = Agent(role="helper", goal="help", backstory="kind", llm=llm, tools=tools, max_iter=6)
    task = Task(description="Please do it.", expected_output="what came of it", agent=agent)
    return {"ran": ran, "text": str(Crew(agents=[agent], tasks=[task], tracing=False).kickoff())}


def main(url, key, model):
    models = {
        "chat": LLM(model=model, provider="openai"),
        "messages": LLM(model=model, provider="anthropic", max_tokens=500),
    }
    loops = {name: play(llm) for name, llm in models.items()}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
