"""Drives DSPy with native tool calls over Chat Completions and prints what it saw as JSON.

`python drive_dspy.py URL KEY MODEL`. DSPy parses every answer into fields: after a text that has none it asks again in another form,
and raises. What it was told stands in its exception. The models' names are ours, so what litellm looks up by name is told.
"""

import json
import sys

import dspy
import litellm
from dspy.utils.exceptions import AdapterParseError
from framework_tools import tools_of


class Act(dspy.Signature):
    """Be kind."""

    request: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    answer: str = dspy.OutputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def play(lm, tools):
    asked = "Please do it."
    try:
        calls = dspy.Predict(Act)(request=asked, tools=tools).calls.tool_calls
    except AdapterParseError as error:
        return str(error)
    history = [{"role": "user", "content": asked}, {"role": "assistant", "content": "I do it."}]
    for call in calls:
        result = call.execute(tools)
        history.append({"role": "user", "content": f"{call.name} said {result}"})
    return lm(messages=history)[0]


def main(url, key, model):
    known = {"litellm_provider": "openai", "mode": "chat", "supports_function_calling": True}
    litellm.register_model({f"openai/{model}": known, model: known})
    lm = dspy.LM(f"openai/{model}", cache=False, num_retries=0)
    dspy.configure(lm=lm, adapter=dspy.ChatAdapter(use_native_function_calling=True))
    ran = []
    text = play(lm, [dspy.Tool(each) for each in tools_of(ran)])
    print(json.dumps({"loops": {"chat": {"ran": ran, "text": str(text)}}}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
