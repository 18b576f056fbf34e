"""What looking at answers costs: `python -m tests.bench.validators`.

The default looks on an answer of 2 KB (clean, and holding a card), rules on the same, whole, and on a stream's events. Microseconds of this
thread's CPU, medians; two figures have a target (`TARGETS`), and the exit code says whether they hold.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from gateway.answering.screens import OutputScreen
from gateway.dialects import openai_chat
from gateway.exchange import Caller
from gateway.policy import Sight, load, screen
from gateway.screening.streamed import Screening
from gateway.validators.looks import USUAL, looks
from gateway.validators.validator import Subject

TEXT = ("The deployment went well; three of four hosts answered within 20 ms, and the last one was restarted at 14:05. " * 20)[:2048]
CARD = TEXT[:1000] + " 4111 1111 1111 1111 " + TEXT[1000:]
TOP = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"
RULES = {
    "a rule with length, whole": "- {id: a, at: output, stream: buffer, validate: [{length: {max: 9000}}]}\n",
    "a rule that redacts cards, whole": "- {id: a, at: output, effect: redact, detect: [card]}\n",
}
TARGETS = {"default looks, 2 KB": 400.0, "stream, per chunk": 15.0}
RUNS = 400


def timed(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median microseconds."""
    for _ in range(20):
        work()
    took = []
    for _ in range(runs):
        begin = time.thread_time_ns()
        work()
        took.append(time.thread_time_ns() - begin)
    return statistics.median(took) / 1000


def default_looks(text: str) -> float:
    made, none = looks(USUAL), frozenset[str]()
    return timed(lambda: list(made.at(Subject(text), none)))


def rule(rules: str, text: str) -> float:
    one = screen(load({"p.yaml": (TOP + rules).encode()}), "output", Sight(Caller("a")))
    return timed(lambda: (one.find(text), one.answered(Subject(text))))


def per_chunk(rules: str) -> float:
    """The p50 of one event of a stream that goes through a screen."""
    one = OutputScreen(screen(load({"p.yaml": (TOP + rules).encode()}), "output", Sight(Caller("a"))))
    events = [openai_chat_event(TEXT[at : at + 12]) for at in range(0, len(TEXT), 12)]
    took: list[int] = []
    for _ in range(8):
        stage: Screening[Any] = Screening(one, openai_chat.TEXTS.streamed(), explain=str, note=lambda hit, words: None)
        for event in events:
            begin = time.thread_time_ns()
            stage.through(event)
            took.append(time.thread_time_ns() - begin)
    return statistics.median(took) / 1000


def openai_chat_event(words: str) -> bytes:
    head = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"'
    return f'data: {head}{words}"}},"finish_reason":null}}]}}\n\n'.encode()


def measured() -> dict[str, float]:
    found = {"default looks, 2 KB": default_looks(TEXT), "default looks, 2 KB with a card": default_looks(CARD)}
    found |= {name: rule(rules, TEXT) for name, rules in RULES.items()}
    found["stream, per chunk"] = per_chunk("- {id: a, at: output, effect: redact, detect: [card, iban, secret]}\n")
    return found


def main() -> int:
    found = measured()
    for name, us in found.items():
        wanted = TARGETS.get(name)
        held = "" if wanted is None else f"   wanted: at most {wanted:g} µs: {'held' if us <= wanted else 'NOT HELD'}"
        print(f"{name:45} {us:9.1f} µs{held}")
    return int(any(found[name] > wanted for name, wanted in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
