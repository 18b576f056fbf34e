"""How long a verdict takes: `python tests/bench/decisions.py [--json]`.

20 guards, eight of them about who said a value, over a conversation of 45 KB, new and already read; then 500 rules, 20 of them
on the tool; then a limit of calls and one of a sum. Medians and 99th percentiles in µs, and the CPU time of the same, which other
programmes on the machine hardly lengthen. Nothing here fails: figures are for people.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gateway.exchange import Caller
from gateway.policy import Conversation, Facts, PolicySet, Reading, evaluate, load
from gateway.request import Message, ProposedBefore
from gateway.state.reservations import Reservations
from gateway.state.sqlite_limits import SqliteLimits
from gateway.verdict import Call

ASKING = (
    "from_user(args.to) || field_has(args.to, 'get_payees', 'iban')",
    "!(from_tool(args.note, 'web_*'))",
    "origin(args.to) != ['model']",
    "from_user(args.amount) || args.amount < 1000.0",
    "history('get_balance').exists(h, h.done)",
    "count('send_money') < 100",
    "user_said(['pay', 'send', 'transfer'])",
    "!read_from('untrusted') || from_user(args.to)",
)
PLAIN = (
    "args.amount <= vars.limit",
    "has(args.note) && size(args.note) < 500",
    "args.to.matches('^[A-Z]{2}[0-9A-Z]{10,30}$')",
    "caller.agent.startsWith('bank')",
    "session.calls < 500",
    "args.amount > 0.0",
)
ARGS = {"to": "GB29NWBK60161331926819", "amount": 12.5, "note": "tea"}
CALL = Call("c", "send_money", json.dumps(ARGS), ARGS, 0)
WORDS = [f"{w}{n}" for w in ("account", "paid", "invoice", "water", "rent", "note", "from") for n in range(200)]


def policies(rules: int) -> PolicySet:
    """Twenty rules to a tool; the call is of the first."""
    conditions = [ASKING[at % 8] if at % 20 < 8 else PLAIN[at % 6] for at in range(rules)]
    tools = ["send_money" if at < 20 else f"tool_{at // 20}_*" for at in range(rules)]
    text = "\n".join(f'- {{id: r{at}, tools: ["{tools[at]}"], require: "{one}"}}' for at, one in enumerate(conditions))
    head = "policy: 1\nid: bank\nagents: ['*']\nallow: ['*']\nvars: {limit: 5000}\ntools: {'web_*': {labels: [untrusted]}}\nrules:\n"
    return load({"bench.yaml": (head + text + "\n").encode()})


def conversation(size: int, seed: int) -> list[Message]:
    """About `size` characters in turns of 1.5 KB: results of tools, half of them JSON, and what the user says between them."""
    rng = random.Random(seed)
    told = [Message("user", b"", f"Please pay 12.50 to GB29NWBK60161331926819 ({seed})")]
    for at in range(size // 1500):
        words = " ".join(rng.choices(WORDS, k=130))
        result = words if at % 2 else json.dumps({"iban": f"DE{at:020}", "balance": at, "text": words})
        name = ("get_balance", "get_payees", "web_fetch", "read_file")[at % 4]
        told.append(Message("assistant", b"", "", calls=(ProposedBefore(f"c{at}", name, json.dumps({"at": at})),)))
        told.append(Message("tool", b"", result, results=((f"c{at}", result),)))
        told.append(Message("user", b"", " ".join(rng.choices(WORDS, k=20))))
    return told


def measured(runs: int, once: Callable[[int], None]) -> dict[str, float]:
    times, cpu = [], []
    for at in range(runs):
        start, used = time.perf_counter_ns(), time.thread_time_ns()
        once(at)
        cpu.append((time.thread_time_ns() - used) / 1000)
        times.append((time.perf_counter_ns() - start) / 1000)
    return {
        "p50": round(statistics.median(times), 1),
        "p99": _p99(times),
        "cpu_p50": round(statistics.median(cpu), 1),
        "cpu_p99": _p99(cpu),
    }


def _p99(values: list[float]) -> float:
    return round(sorted(values)[int(len(values) * 0.99)], 1)


def decided(loaded: PolicySet, talk: Conversation) -> None:
    session = {"id": "s", "source": "x", "messages": 90, "calls": 30, "tools": ("get_balance",)}
    verdict = evaluate(loaded, Facts(CALL, Caller("bank-1"), "openai.chat", "m", session=session, conversation=talk))
    assert verdict.effect == "allow", verdict.reason


def limited(path: Path) -> dict[str, dict[str, float]]:
    """What limits add: the same verdict with a meter on disk, and without limits."""
    text = "policy: 1\nid: bank\nagents: ['*']\nallow: ['*']\nlimits:\n"
    text += "- {id: sum, sum: args.amount, per: user, window: 24h, max: 1000000000}\n- {id: calls, per: agent, max: 1000000000}\n"
    store = SqliteLimits(path)
    limits, none = load({"bench.yaml": text.encode()}), load({"bench.yaml": text.partition("limits:")[0].encode()})

    def decide(loaded: PolicySet, at: int) -> None:
        facts = Facts(CALL, Caller("bank-1", user=f"u{at % 500}"), "openai.chat", "m", now_us=at, meter=Reservations(store))
        assert evaluate(loaded, facts).released

    found = {
        "two limits, 500 users, on disk": measured(5000, lambda at: decide(limits, at)),
        "the same without limits": measured(5000, lambda at: decide(none, at)),
    }
    store.close()
    return found


def figures() -> dict[str, dict[str, float]]:
    twenty, many = policies(20), policies(500)
    reading = Reading()
    known, long = conversation(45_000, 0), conversation(370_000, 7)
    decided(twenty, Conversation(long, reading))
    before = conversation(44_000, 1)
    turns = [[*before, Message("user", b"", f"turn {at} " + "pay x y " * 120)] for at in range(300)]
    fresh = [conversation(45_000, 100 + at) for at in range(100)]
    decided(twenty, Conversation(known, reading))
    return {
        "20 guards, 45 KB, one new message": measured(300, lambda at: decided(twenty, Conversation(turns[at], reading))),
        "20 guards, 45 KB, nothing read before": measured(100, lambda at: decided(twenty, Conversation(fresh[at], Reading()))),
        "20 guards, 45 KB, read before": measured(1000, lambda at: decided(twenty, Conversation(known, reading))),
        "500 rules, 20 on the tool, 45 KB, read before": measured(200, lambda at: decided(many, Conversation(known, reading))),
        "20 guards, 370 KB, read before": measured(200, lambda at: decided(twenty, Conversation(long, reading))),
    }


def main() -> None:
    asked = argparse.ArgumentParser(description="Print how long verdicts take, in µs.")
    asked.add_argument("--json", action="store_true", help="print JSON")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = figures() | limited(Path(folder) / "state.sqlite")
    if given.json:
        print(json.dumps(found))
        return
    for what, told in found.items():
        shown = "   ".join(f"{name.replace('_', ' ')} {told[name]:>8} µs" for name in told)
        print(f"{what:<46} {shown}")


if __name__ == "__main__":
    main()
