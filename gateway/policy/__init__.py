"""ENGINE: policies people can read, judged against every call.

`load` turns the files of a folder into a `PolicySet` or says everything that is wrong with them;
`evaluate` turns a set and the facts of one call into a `Verdict` and never raises; `decide` has the last
word, with what must be taken out of the call; `denial_text` says it to the agent; `screen` says what rules
find in a text; `run_cases` runs the tests that the files carry.
Pure throughout: no disk, clock, network or environment. Knows no dialect.
"""

from __future__ import annotations

from gateway.policy.cases import Report, Result
from gateway.policy.cases import run as run_cases
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.explain import denial_text
from gateway.policy.limits import Meter, NoMeter
from gateway.policy.load import load, may_be_policy
from gateway.policy.policy_set import EMPTY, Policy, PolicySet
from gateway.policy.provenance import Conversation, Reading, Told
from gateway.policy.redaction import NotRedactable, decide
from gateway.policy.screen import Hit, Screen, Sight, screen

__all__ = [
    "EMPTY",
    "Conversation",
    "Facts",
    "Hit",
    "Meter",
    "NoMeter",
    "NotRedactable",
    "Policy",
    "PolicySet",
    "Reading",
    "Report",
    "Result",
    "Screen",
    "Sight",
    "Told",
    "decide",
    "denial_text",
    "evaluate",
    "load",
    "may_be_policy",
    "run_cases",
    "screen",
]
