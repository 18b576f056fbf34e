"""What prompts cost a request: `python tests/bench/prompts.py [--json]`.

The version of a found prompt, of 20 KB of system prompt and tools: said again, with another time in it, with the time in a text without
lines, with another day, id and time at its beginning. Then a body of 60 KB that names no kept prompt (every request pays that) and one that
does. Medians and 99th percentiles in µs of CPU time, each beside one SHA-256 of the same bytes measured in turns with it, so that the ratio
travels between machines; function calls are counted, because they are the same everywhere. Wanted: 50 µs for the version of any of these
prompts.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

from gateway.dialects import DIALECTS
from gateway.prompt.fingerprint import fingerprint
from gateway.prompt.kept import read
from gateway.prompt.reference import mentioned
from gateway.request import Instruction, Message, Request, Tool

LINE = "You are a careful assistant: rule {} says that nobody else is told what a customer has ordered.\n"
SYSTEM = "".join(LINE.format(at) for at in range(105))
TOOLS = [
    json.dumps({
        "type": "function",
        "function": {
            "name": f"tool_{at}", "description": "Looks something up. " * 15,
            "parameters": {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "y" * 40} for n in range(5)}},
        },
    }).encode()
    for at in range(12)
]  # fmt: skip
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "prompt " * 8500}], "tools": []}).encode()
NAMED = json.dumps({**json.loads(BODY), "prompt": {"name": "support", "variables": {"shop": "Aare"}}}).encode()
KEPT = read("support", b"---\nvariables: {shop: {type: string}}\n---\n" + SYSTEM.encode() + b"You help in {{ shop }}.\n")
WANTED_US = 50.0


def request(system: str) -> Request:
    """As it comes from the wire: every text is an object of its own."""
    tools = tuple(Tool("t", "function", bytes(bytearray(raw))) for raw in TOOLS)
    return Request("d", "m", stream=False, messages=(Message("system", b"", system),), tools=tools, body=b"")


def dated(at: int, system: str = SYSTEM) -> Request:
    return request(f"{system}It is 2026-11-21T{at // 3600 % 24:02}:{at // 60 % 60:02}:{at % 60:02}Z.")


def begun(at: int) -> Request:
    day = f"2026-{at % 12 + 1:02}-{at % 28 + 1:02}"
    return request(f"Session id: {uuid.UUID(int=at)}\nToday is {day}, {dated(at, '').messages[0].text}\n{SYSTEM}")


def filled(body: bytes) -> bytes:
    values = KEPT.values({"shop": "Aare"})
    return DIALECTS["openai.chat"].prompted(body, Instruction(KEPT.text(values)))


STORIES: dict[str, tuple[Callable[[int], object], Callable[[Any], object], int]] = {
    "prompt seen before": (lambda at: request(SYSTEM + "It is now."), lambda each: fingerprint(each), len(SYSTEM) + sum(map(len, TOOLS))),
    "prompt with another time": (dated, lambda each: fingerprint(each), len(SYSTEM) + sum(map(len, TOOLS))),
    "the same in one line": (
        lambda at: dated(at, SYSTEM.replace("\n", " ")), lambda each: fingerprint(each), len(SYSTEM) + sum(map(len, TOOLS))
    ),
    "the same at its beginning": (begun, lambda each: fingerprint(each), len(SYSTEM) + sum(map(len, TOOLS))),
    "body that names no kept prompt": (lambda at: bytes(bytearray(BODY)), lambda each: mentioned(each), len(BODY)),
    "kept prompt found and filled in": (lambda at: bytes(bytearray(NAMED)), lambda each: (mentioned(each), filled(each)), len(NAMED)),
}  # fmt: skip
"""What is made (not measured), what is measured, and its bytes."""
VERSIONS = [name for name, (_, _, size) in STORIES.items() if size == len(SYSTEM) + sum(map(len, TOOLS))]


def measured(times: int) -> dict[str, dict[str, float]]:
    found = {}
    for name, (make, act, size) in STORIES.items():
        given = [make(at) for at in range(times)]
        act(make(times))
        beside = b"x" * size
        spent, hashing = [], []
        for each in given:
            spent.append(_us(act, each))
            hashing.append(_us(hashlib.sha256, beside))
        median = statistics.median(spent)
        found[name] = {
            "bytes": size, "p50_us": round(median, 1), "p99_us": round(sorted(spent)[int(len(spent) * 0.99)], 1),
            "times_one_hash": round(median / statistics.median(hashing), 2),
            "calls": _calls(act, make(times + 1)),
        }  # fmt: skip
    return found


def _us(act: Callable[[Any], object], given: object) -> float:
    started = time.thread_time_ns()
    act(given)
    return (time.thread_time_ns() - started) / 1000


def _calls(act: Callable[[Any], object], given: object) -> int:
    profile = cProfile.Profile()
    profile.runcall(act, given)
    return int(sum(each.callcount for each in profile.getstats()))


def main() -> None:
    asked = argparse.ArgumentParser(prog="python tests/bench/prompts.py", description="What prompts cost a request.")
    asked.add_argument("--times", type=int, default=2000)
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    found = measured(given.times)
    if given.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        beside = f"{figures['times_one_hash']:5.2f} x one hash   {figures['calls']:4} calls"
        print(f"{name:34} {figures['p50_us']:8.1f} µs   p99 {figures['p99_us']:8.1f}   {beside}")
    slowest = max(found[name]["p50_us"] for name in VERSIONS)
    print(f"wanted: the version of each prompt in {WANTED_US:.0f} µs: {'holds' if slowest <= WANTED_US else 'DOES NOT HOLD'} ({slowest})")


if __name__ == "__main__":
    main()
