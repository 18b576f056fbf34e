"""The engine and a naive second reading of the language give the same verdict on random policies and calls.

`TOLLHOUSE_EXAMPLES=1000000 pytest tests/policy/test_against_the_reference.py` asks about a million calls;
`TOLLHOUSE_SEED` begins elsewhere. A difference prints the files and the call.
"""

import importlib.util
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml

from gateway.exchange import Caller
from gateway.policy import Facts, decide, evaluate, load
from gateway.verdict import Call

EXAMPLES = int(os.environ.get("TOLLHOUSE_EXAMPLES", "10000"))
SEED = int(os.environ.get("TOLLHOUSE_SEED", "1"))
CALLS_PER_SET = 40

pytestmark = pytest.mark.unmeasured

AGENTS = ["bank-1", "bank-2", "bank-1", "dev", "other"]
AGENT_GLOBS = ["*", "bank-*", "bank-?", "dev", "d*v", "nobody"]
TOOLS = ["pay", "get_x", "get_y", "read_file", "openai.web_search", "google.x", "odd name", ""]
TOOL_GLOBS = ["*", "pay", "get_*", "get_?", "*_file", "p*", "openai.*", "openai.web_search", "google.?", "*.x", "none", "?"]
VARS = {"l": [1, "a", 2.5, True], "n": 3, "f": 1.5, "s": "ab", "b": True, "e": []}
VALUES = [0, 1, 2, 3, -1, 1.0, 1.5, 2.5, "", "a", "ab", "abc", "1", "ä", True, False, None]
VALUES += ["4111111111111111", "4111111111111112", "pay 4111111111111111, a@b.co", 4111111111111111, {"a@b.co": 1}, ["a", "a@b.co"]]
VALUES += [[], [1], ["a", 2], [1.0, "a", 2.5, True], {}, {"k": 1}, {"k": "ab", "a": None}]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- random policies ---------------------------------------------------------------------------------------


class Writer:
    """Writes file sets and calls from one source of chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rules = 0

    def some(self, values, most):
        return self.random.sample(values, self.random.randint(1, most))

    def likely(self, share):
        return self.random.random() < share

    def one(self, *values):
        return self.random.choice(values)

    def files(self):
        """Libraries include only what comes after them, and each is included by somebody."""
        libraries = [f"lib{n}.yaml" for n in range(self.random.randint(0, 3))]
        tops = [f"top{n}.yaml" for n in range(self.random.randint(1, 3))]
        files = {name: self.file(name, libraries[at + 1 :]) for at, name in enumerate(libraries)}
        files |= {name: {**self.file(name, libraries), "agents": self.some(AGENT_GLOBS, 4)} for name in tops}
        for name in libraries:
            if not any(name in one.get("include", []) for one in files.values()):
                files[self.one(*tops)].setdefault("include", []).append(name)
        return files

    def file(self, name, may_include):
        made = {"policy": 1, "id": name.removesuffix(".yaml")}
        included = [one for one in may_include if self.likely(0.4)]
        optional = {
            "mode": (0.3, lambda: self.one("enforce", "shadow")),
            "default": (0.5, lambda: self.one("deny", "ask", "allow", "allow")),
            "allow": (0.6, lambda: [*self.some(TOOL_GLOBS, 4), *self.one([], ["*", "openai.*", "google.*"])]),
            "include": (bool(included), lambda: included),
            "vars": (1, lambda: VARS),
            "rules": (0.9, lambda: [self.rule() for _ in range(self.random.randint(0, 5))]),
        }
        return made | {key: value() for key, (share, value) in optional.items() if self.likely(share)}

    def rule(self):
        self.rules += 1
        optional = {
            "tools": (0.6, lambda: self.some(TOOL_GLOBS, 3)),
            self.one("when", "require"): (0.9, lambda: self.condition(3)),
            "effect": (0.9, lambda: self.one("deny", "ask", "warn", "warn")),
            "detect": (0.15, lambda: self.some(["card", "email"], 2)),
            "mode": (0.3, lambda: self.one("enforce", "shadow")),
            "on_error": (0.3, lambda: self.one("hit", "ignore")),
            "message": (0.2, lambda: "{args.x} of {vars.n}"),
        }
        rule = {"id": f"r{self.rules}"} | {key: value() for key, (share, value) in optional.items() if self.likely(share)}
        if "detect" in rule and self.likely(0.5):
            rule["effect"] = "redact"
        if "detect" in rule and self.likely(0.2):
            kept = {key: rule[key] for key in ("id", "detect", "mode") if key in rule}
            return kept | {"at": self.one("output", "request", "tool_result"), "effect": self.one("deny", "redact", "warn")}
        return rule

    def condition(self, depth):
        if depth and self.likely(0.5):
            left, right = self.condition(depth - 1), self.condition(depth - 1)
            return self.one(f"({left} && {right})", f"({left} || {right})", f"!({left})", f"{left} || {right} && {left}")
        return self.test()

    def test(self, variable=""):
        value = variable if variable and self.likely(0.6) else self.value()
        forms = [
            f"{value} {self.one('==', '!=', '<', '<=', '>', '>=')} {self.literal()}",
            f"{value} {self.one('==', '!=', '<', '>')} {self.value()}",
            f"{value} in {self.one('vars.l', 'vars.e', 'args.y', chr(91) + self.literal() + ', ' + self.literal() + chr(93))}",
            f"has(args.{self.one('x', 'y', 'o.k', 'x.k')})",
            f"size({value}) {self.one('==', '>', '<')} {self.one('0', '1', '2')}",
            f"{value}.startsWith({self.one(chr(39) + 'a' + chr(39), 'args.y', 'vars.s')})",
            value,
        ]
        if not variable:
            forms += [f"{self.one('args.x', 'args.y', 'vars.l', 'vars.e')}.{self.one('exists', 'all')}(v, {self.test('v')})"]
        return self.one(*forms)

    def value(self):
        return self.one("args.x", "args.y", "args.o.k", "args.x.k", "vars.n", "vars.f", "vars.s", "vars.b", "vars.l")

    def literal(self):
        return self.one("0", "1", "2", "-1", "1.5", "2.5", "'a'", "'ab'", "''", "'ä'", "true", "null")

    def text(self, file):
        """YAML in a style of its own."""
        style = self.one(True, False, None)
        return yaml.safe_dump(file, default_flow_style=style, sort_keys=self.likely(0.5), allow_unicode=True, width=self.one(20, 1000))

    def call(self):
        args = {name: self.random.choice(VALUES) for name in ("x", "y", "o") if self.likely(0.7)}
        if self.likely(0.05):
            args["z"] = self.one("\0", ["a\0b"], {"\0": 1})
        return self.one(*AGENTS), self.one(*TOOLS), (None if self.likely(0.05) else args)


# -- asking both -------------------------------------------------------------------------------------------


def as_told(reference, agent, tool, args, files):
    zero = args is not None and "\\u0000" in json.dumps(args)
    told = reference.verdict(files, agent, tool, args, zero)
    return told["effect"], told["released"], told["would"], sorted(map(hit_of_reference, told["hits"])), told["by"]


def hit_of_reference(hit):
    return hit["policy"], hit["rule"], hit["effect"], hit["mode"], hit["error"]


def facts_of(agent, tool, args):
    problem = None if args is not None else "truncated"
    call = Call("call_1", tool, json.dumps(args, ensure_ascii=False), args, 0, problem=problem)
    return Facts(call=call, caller=Caller(agent), dialect="test", model="m")


def judged(policies, agent, tool, args):
    return evaluate(policies, facts_of(agent, tool, args))


def as_judged(verdict):
    hits = [(hit.policy, hit.rule, hit.effect, hit.mode, hit.error) for hit in verdict.hits]
    return verdict.effect, verdict.released, verdict.would, sorted(hits)


def difference_of_what_is_left(reference, policies, files, call):
    *_, args = call
    last, delivered = decide(policies, facts_of(*call))
    final = reference.decided(files, *call, args is not None and "\\u0000" in json.dumps(args))
    came = last.effect, last.released, delivered.args
    return None if final == came else {"reference decided": final, "engine decided": came}


def difference(reference, policies, files, call):
    """What both say, when they differ. Between hits of equal weight either may be the one that is named."""
    *told, by = as_told(reference, *call, files)
    verdict = judged(policies, *call)
    named = [hit for hit in verdict.hits if (hit.policy, hit.rule) == (verdict.policy, verdict.rule)]
    weights = [reference.weight({"effect": hit.effect, "error": hit.error, "rule": hit.rule}) for hit in named]
    if any(hit.effect == "redact" for hit in verdict.hits) and (left := difference_of_what_is_left(reference, policies, files, call)):
        return left
    if tuple(told) == as_judged(verdict) and (not by or reference.weight(by) in weights):
        return None
    return {"reference": told, "engine": as_judged(verdict), "named": (verdict.policy, verdict.rule), "by": by}


def test_the_engine_and_the_reference_never_differ(reference):
    seen = Counter()
    for seed in range(SEED, SEED + max(1, EXAMPLES // CALLS_PER_SET)):
        writer = Writer(seed)
        texts = {name: writer.text(file) for name, file in writer.files().items()}
        policies = load({name: text.encode() for name, text in texts.items()})
        files = {name: yaml.safe_load(text) for name, text in texts.items()}
        for call in [writer.call() for _ in range(CALLS_PER_SET)]:
            found = difference(reference, policies, files, call)
            assert found is None, f"seed {seed}, call {call}: {found}\n" + "\n".join(f"# {n}\n{t}" for n, t in texts.items())
            seen[as_judged(judged(policies, *call))[:3]] += 1
    expected = {(effect, effect in ("allow", "warn"), None) for effect in ("allow", "warn", "redact", "ask", "deny")}
    expected |= {("allow", True, would) for would in ("warn", "ask", "deny")} | {("ask", False, "deny")}
    assert expected <= set(seen), "the generator no longer reaches every kind of verdict"


OTHERWISE = {"deny": "ask", "ask": "warn", "warn": "deny", "redact": "deny"}
CHANGES = {
    "an effect": lambda rule: rule | {"effect": OTHERWISE[rule.get("effect", "deny")]},
    "a condition": lambda rule: rule | {"when": "false"} if "require" not in rule else rule | {"require": "true"},
    "a mode": lambda rule: rule | {"mode": "enforce" if rule.get("mode") == "shadow" else "shadow"},
    "its tools": lambda rule: rule | {"tools": ["none"]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_one_rule_is_noticed(reference, change):
    noticed = 0
    for seed in range(30):
        writer = Writer(seed)
        files = writer.files()
        policies = load({name: yaml.safe_dump(file).encode() for name, file in files.items()})
        for file in files.values():
            file["rules"] = [change(rule) for rule in file.get("rules", [])]
        noticed += any(difference(reference, policies, files, writer.call()) for _ in range(20))
    assert noticed > 5
