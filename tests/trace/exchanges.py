"""Exchanges, and a scribe that writes their rows."""

from __future__ import annotations

from gateway.exchange import Caller, Exchange
from gateway.request import Message, Request, Tool
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.trace.texts import Seen
from gateway.verdict import Call, RuleHit, Verdict

SECRET = "sk-canary-0123456789"


def scribe(secret: str = SECRET, seen: Seen | None = None) -> Scribe:
    return Scribe(b"k" * 32, Redactor([secret]), seen)


def message(role: str, text: str) -> Message:
    return Message(role, f'{{"role":"{role}","content":"{text}"}}'.encode(), text)


def request(*messages: Message) -> Request:
    return Request(
        "openai.chat",
        "gpt-x",
        True,
        messages,
        (Tool("t", "function", b'{"name":"t"}'),),
        b"",
        temperature=0.5,
        max_tokens=9,
    )


def exchange(**changes) -> Exchange:
    x = Exchange("id", 5, "openai.chat", "/v1/chat/completions", Caller("bot", "k1", session="s"), policy_hash="p")
    for name, value in changes.items():
        setattr(x, name, value)
    return x


ALLOW = Verdict("allow", True, "granted", "ok")
DENY = Verdict(
    "deny", False, "rule", f"no {SECRET}", (RuleHit("p", "r", "deny", message=SECRET),), policy="p", rule="r"
)


def call(arguments: str = '{"b":1,"a":2}', args: dict | None = None) -> Call:
    return Call("c1", "pay", arguments, {"b": 1, "a": 2} if args is None else args, 0)
