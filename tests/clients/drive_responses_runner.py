"""Drives the openai SDK's own runner for Responses, whole, streamed and eager, and prints what it saw as JSON.

`python drive_responses_runner.py URL KEY MODEL`. It compares every item of a stream with the finished response: the strictest reader
here. Eager: a call runs once its item is done, before the response is. Nothing but the SDK's variables is set.
"""

import json
import sys

import openai
from framework_tools import tools_of
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner

ARGUMENTS = {"look_up": {"city": "string"}, "delete_all": {"path": "string"}, "send_money": {"amount": "number", "note": "string"}}


def registered(function):
    name = function.__name__
    properties = {each: {"type": kind} for each, kind in ARGUMENTS[name].items()}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    tool = {"type": "function", "name": name, "parameters": schema, "strict": True}
    return RegisteredFunction(tool, lambda given: function(**given))


def play(model, stored, **how):
    ran = []
    runner = ResponsesToolRunner(functions=[registered(each) for each in tools_of(ran)])
    asked = {"model": model, "input": [{"role": "user", "content": "Please do it."}], "store": stored}
    return {"ran": ran, "text": runner.run(openai.OpenAI(), asked, max_steps=6, **how).output_text}


def main(url, key, model):
    loops = {}
    for stored in (False, True):
        for name, how in {"whole": {}, "stream": {"stream": True}, "eager": {"stream": True, "eager": True}}.items():
            loops[f"{name}{'-stored' if stored else ''}"] = play(model, stored, **how)
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
