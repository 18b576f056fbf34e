"""The codes of `tollhouse policy check`: what each means, why it matters, what to do.

A code is never reused for something else: people switch findings on and off by it. TH0xx are findings of files that
load; TH1xx are kinds of errors, for which a file is not used at all. The one place that says how grave a finding is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.errors import Severity


class Code(NamedTuple):
    """One code, explained."""

    severity: Severity
    title: str
    meaning: str


CODES: Final[Mapping[str, Code]] = {
    "TH001": Code(
        "warning",
        "a rule about tools that nothing grants",
        "No grant of the files that hold or include the rule covers a tool that its 'tools:' name, so the rule changes "
        "nothing: such calls are denied anyway. Mostly a misspelt tool. Correct 'tools:', grant the tool, or remove the rule.",
    ),
    "TH002": Code(
        "warning",
        "a grant that a rule takes back whole",
        "The rule has no condition and denies every call of a tool that an 'allow:' grants by exactly this name. The grant "
        "can never be used. Remove one of the two, or give the rule a 'when' or 'require'.",
    ),
    "TH003": Code(
        "warning",
        "a grant of every tool",
        "'*' grants each tool that an agent will ever offer, those that do not exist yet too; only tools that a provider "
        "runs are left out. List the tools, or patterns with a verb in front (get_*).",
    ),
    "TH004": Code(
        "warning",
        "a rule that lets calls pass when it cannot be evaluated",
        "With 'on_error: ignore' a call without the argument, or with one of another type, is not stopped by the rule. "
        "Test for what is optional (has(args.x) && …) and remove 'on_error'.",
    ),
    "TH005": Code(
        "warning",
        "shadow mode without a last day",
        "What is in shadow mode withholds nothing, and is forgotten easily. Write the day by which you decide: "
        "'until: 2026-12-31' beside 'mode: shadow'. Verdicts do not depend on it.",
    ),
    "TH006": Code(
        "warning",
        "shadow mode after its last day",
        "The day in 'until:' is over and the rule or file still only records. Read what it recorded "
        "(tollhouse sql --saved shadow_decisions), then remove 'mode: shadow', or set a later day.",
    ),
    "TH007": Code(
        "warning",
        "an argument that the file's tests never give",
        "Tests of the file show the arguments of the tools that the rule is about, and none has this name. If it is "
        "misspelt, a condition with has(…) never hits. Correct the name, or add a test that gives the argument.",
    ),
    "TH008": Code(
        "note",
        "a rule that no test hits",
        "Nothing shows that the rule works. Add a test with a call that it must hit, and expect.rule with its id. "
        "'tollhouse policy test --strict' fails on such rules.",
    ),
    "TH009": Code(
        "note",
        "a grant that begins with a wildcard",
        "A pattern such as '*_file' grants every verb: read_file, and delete_file as well. Write the verbs in front.",
    ),
    "TH010": Code(
        "warning",
        "a default of a file that grants nothing",
        "Without 'allow:' a file has no say in what is granted while another policy of the agent grants: its 'default:' speaks only where "
        "none has 'allow:'. To deny or ask for all that others grant, write 'allow: []' beside it; to only guard, remove 'default:'.",
    ),
    "TH011": Code(
        "warning",
        "a condition about earlier calls of tools that nothing grants",
        "count, total, history, from_tool and field_has find nothing of a tool that no grant covers: 'count(…) > 3' never holds, and "
        "'from_tool(…)' is never true. Mostly a misspelt tool. Correct the name, or grant the tool.",
    ),
    "TH101": Code("error", "not YAML with exactly one meaning", "Correct the place shown. Duplicate keys, tags and tabs are refused."),
    "TH102": Code(
        "error",
        "not the shape of a policy",
        "An unknown key, a missing one, or a value of the wrong type. 'tollhouse policy schema' prints the shape, for editors too.",
    ),
    "TH103": Code("error", "a condition that cannot be compiled", "Conditions are CEL; policies/README.md lists variables and functions."),
    "TH104": Code("error", "a message with a value that does not exist", "Messages take {args.amount}, {vars.x}, {origin(args.to)}."),
    "TH105": Code(
        "error",
        "a var that is no value or list",
        "Vars are text, numbers, true or false, lists of those, or {file: names.txt}, a UTF-8 file beside the policy.",
    ),
    "TH106": Code("error", "one id for two things", "An id means one policy, or one rule in a file with its includes. Rename one."),
    "TH107": Code("error", "an include or library that leads nowhere", "Includes are policy files below the folder, without circles."),
    "TH108": Code("error", "known, but not enforced by this version", "Refused: ignoring it would leave a gap nobody sees."),
    "TH109": Code("error", "a label that no tool has", "Give it to a tool (tools: {web_*: {labels: [untrusted]}}), or correct the name."),
    "TH110": Code("error", "a file that cannot be read", "Check its permissions, its size, and that links stay inside the folder."),
    "TH111": Code("error", "nothing to check", "No file here is a policy; a policy is a YAML file with the key 'policy: 1'."),
    "TH112": Code("error", "a test that names a limit which does not exist", "'spent:' takes ids of limits of the file and its includes."),
}
