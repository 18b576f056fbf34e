"""Facts and policies for the tests of this folder."""

import json

import pytest

from gateway.exchange import Caller
from gateway.policy import Facts, load
from gateway.verdict import Call


@pytest.fixture
def facts():
    """Facts of one call; everything beside tool, arguments and agent may be given by name."""

    def made(tool="pay", args=None, agent="bank-1", **given):
        call = given.pop("call", None) or Call("call_1", tool, json.dumps(args or {}, default=str), args or {}, 0)
        caller = given.pop("caller", None) or Caller(agent)
        return Facts(call=call, caller=caller, dialect="openai.chat", model="gpt-x", **given)

    return made


@pytest.fixture
def policies():
    """A set from texts: one file, or several by name."""

    def made(*texts, **named):
        files = {f"{i}.yaml": text.encode() for i, text in enumerate(texts)}
        return load(files | {f"{name}.yaml": text.encode() for name, text in named.items()})

    return made
