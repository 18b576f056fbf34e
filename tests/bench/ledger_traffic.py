"""Made-up traffic in a real journal: `python tests/bench/ledger_traffic.py FOLDER …`, told over stdin how many exchanges to add.

Conversations of forty turns over some hours, up to a hundred at a time; every request resends the whole conversation. Texts are cut from
Python's own library, so that they compress as what agents read and write does. Some calls are withheld, some asked about, some providers
fail, so that every saved query finds something. Rows come from the gateway's own Scribe, files from its own Journal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sysconfig
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from gateway.answer import Answer, Usage
from gateway.exchange import Caller, Exchange
from gateway.journal import Journal
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Message, Request, Tool
from gateway.trace.exchange_rows import AttemptRow
from gateway.trace.people_rows import ApprovalRow
from gateway.trace.policy_rows import PolicyRow, RuleRow
from gateway.trace.record import ApprovalChanged, Booted, Decided, Ended, Opened, PolicyLoaded, Record
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Links, Priced, Scribe
from gateway.verdict import Call, Finding, Ran, RuleHit, Verdict

TURNS = 40
MOST_AT_ONCE, PER_DAY_EACH = 100, 300
SPAN_US = 30 * 24 * 3600 * 1_000_000
MODELS = (("openai", "gpt-5"), ("openai", "gpt-5-mini"), ("anthropic", "claude-opus-4-5"),
          ("anthropic", "claude-haiku-4-5"), ("google", "gemini-3"))  # fmt: skip
TOOLS = ("bash", "read_file", "edit_file", "grep", "web_fetch", "send_mail", "get_balance", "transfer", "list_files", "run_tests",
         "open_issue", "search", "delete_branch", "deploy", "get_payees")  # fmt: skip


class Corpus:
    """Slices of real text."""

    def __init__(self, rng: random.Random) -> None:
        folder = Path(sysconfig.get_paths()["stdlib"])
        self._text = "".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*/*.py")))
        self._rng = rng

    def cut(self, mean: int) -> str:
        """Log-uniform from a quarter of `mean` to two and a half times it."""
        size = int(mean * 0.25 * 10 ** self._rng.random())
        start = self._rng.randrange(len(self._text) - size)
        return self._text[start : start + size]


class Talk:
    """One conversation: an agent, its prompt, what was said so far."""

    def __init__(self, rng: random.Random, corpus: Corpus, turn_bytes: int, prompts: list[tuple[Message, tuple[Tool, ...]]]) -> None:
        number = rng.randrange(len(prompts))
        self.agent = f"agent-{number % 12}"
        self.caller = Caller(self.agent, key_id=f"key{number % 30}", team=f"team-{number % 4}", user=f"user-{rng.randrange(200)}",
                             session=f"{rng.getrandbits(64):016x}", session_source="header", client="bench/1")  # fmt: skip
        self.provider, self.model = MODELS[number % len(MODELS)]
        system, self.tools = prompts[number]
        self.messages: list[Message] = [system]
        self.turn = 0
        self._rng, self._corpus, self._bytes = rng, corpus, turn_bytes
        self._last: tuple[str, str, str] | None = None

    def next_request(self) -> Request:
        """What the agent sends now: all before, and what is new (a user's word, or the result of the last call)."""
        text = self._corpus.cut(int(self._bytes * 0.8))
        if self._last is None:
            self._say("user", text, {"role": "user", "content": text})
        else:
            key, name, arguments = self._last
            call = {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
            self._say("assistant", "", {"role": "assistant", "content": None, "tool_calls": [call]})
            self._say("tool", text, {"role": "tool", "tool_call_id": key, "content": text})
        body = b'{"messages":[' + b",".join(m.raw for m in self.messages) + b"]}"
        self.turn += 1
        return Request("openai.chat", self.model, True, tuple(self.messages), self.tools, body)

    def call(self) -> tuple[Call, Verdict]:
        """What the model proposes: one call a turn, one in thirty withheld, one in twenty spoken about by a shadow rule."""
        name = self._rng.choice(TOOLS)
        given = {"path": f"/src/{self._rng.randrange(10_000)}.py", "text": self._corpus.cut(max(40, self._bytes // 8))}
        arguments = msgspec.json.encode(given).decode()
        key = f"call_{self._rng.getrandbits(64):016x}"
        self._last = (key, name, arguments)
        hits = [RuleHit("house", "allow", "allow", line=7)]
        denied, shadow = self._rng.random() < 1 / 30, self._rng.random() < 1 / 20
        if denied:
            hits.append(RuleHit("house", f"rule-{TOOLS.index(name)}", "deny", message="not here", line=20 + TOOLS.index(name)))
        if shadow:
            hits.append(RuleHit("house", "trial", "deny", mode="shadow", message="would not", line=90))
        effect = "deny" if denied else "allow"
        verdict = Verdict(effect, not denied, "rule" if denied else "granted", "because of house", tuple(hits),
                          "deny" if shadow and not denied else None, "house", hits[1].rule if denied else "allow")  # fmt: skip
        return Call(key, name, arguments, msgspec.json.decode(arguments), 0), verdict

    def _say(self, role: str, text: str, raw: dict[str, object]) -> None:
        self.messages.append(Message(role, msgspec.json.encode(raw), text))


class Traffic:
    """Records in the order of time, from `SPAN_US` ago until now when `total` exchanges are made."""

    def __init__(self, total: int, turn_bytes: int, now_us: int, seed: int = 7) -> None:
        self._rng = random.Random(seed)
        self._corpus = Corpus(self._rng)
        self._scribe = Scribe(b"k" * 32, Redactor(["sk-made-up-provider-key"]))
        self._bytes = turn_bytes
        self._at, self._step = now_us - SPAN_US, SPAN_US / max(total, 1)
        self._prompts = [(self._system(n), self._tools(n)) for n in range(48)]
        self._talks = [self._talk() for _ in range(max(2, min(MOST_AT_ONCE, total // 30 // PER_DAY_EACH)))]
        for talk in self._talks:  # not all of an age
            for _ in range(self._rng.randrange(TURNS)):
                talk.next_request()
                talk.call()
        self.made = 0
        self.raw_bytes = 0

    def policies(self) -> list[Record]:
        """The versions that judge: one rule for each tool, one in shadow, one that never speaks."""
        rules = [RuleRow("house", f"rule-{n}", "guard", "deny", "enforce", (name,), name, False, "house.yaml", 20 + n)
                 for n, name in enumerate(TOOLS[:-2])]  # fmt: skip
        rules.append(RuleRow("house", "trial", "guard", "deny", "shadow", ("*",), ".*", True, "house.yaml", 90))
        rules.append(RuleRow("house", "never", "guard", "deny", "enforce", ("burn",), "burn", False, "house.yaml", 91))
        return [PolicyLoaded(PolicyRow(f"{n:064x}", int(self._at) + n, files=(("house.yaml", "policy: 1"),), rules=tuple(rules)))
                for n in range(3)]  # fmt: skip

    def begin_anew(self) -> None:
        """As a worker does with each segment: its bodies are in it, whatever was written before."""
        self._scribe.texts.seen.begin_anew()

    def exchanges(self, count: int) -> Iterator[list[Record]]:
        for _ in range(count):
            number = self._rng.randrange(len(self._talks))
            if self._talks[number].turn >= TURNS:
                self._talks[number] = self._talk()
            yield self._exchange(self._talks[number])

    def _exchange(self, talk: Talk) -> list[Record]:
        self.made += 1
        self._at += self._step
        at, rng = int(self._at), self._rng
        request = talk.next_request()
        self.raw_bytes += len(request.body)
        print_ = fingerprint(request)
        x = Exchange(f"{at // 1000:012x}7{rng.getrandbits(76):019x}", at, "openai.chat", "/v1/chat/completions", talk.caller, request,
                     len(request.body), upstream=talk.provider, upstream_status=200, status=200, prompt_hash=print_.hash,
                     policy_hash=f"{talk.turn % 3:064x}", enforcing=True)  # fmt: skip
        addresses, messages = self._scribe.texts.request_messages(x, at)
        prompt = self._scribe.texts.prompt(x, print_, at)
        row = self._scribe.exchange(x, provider=talk.provider, durability="commit", priced=Priced(), links=Links(addresses))
        opened = Opened(row, messages, prompt)
        if self.made % 100 == 99:
            return [opened, self._failed(x, addresses)]
        call, verdict = talk.call()
        x.calls.append((call, verdict))
        key = f"dec_{rng.getrandbits(64):016x}"
        decided = Decided(self._scribe.call(x, call, verdict, decision=key, decided_us=at + 900_000, judged_us=90))
        asked = self._asked(decided) if self.made % 50 == 0 else []
        return [opened, decided, *asked, self._ended(x, addresses, rng)]

    def _asked(self, decided: Decided) -> list[Record]:
        """A person is asked; one in five times nobody has answered yet."""
        call, rng = decided.call, self._rng
        at, key = call.decided_us, f"apr_{rng.getrandbits(64):016x}"
        row = ApprovalRow(key, 1, "pending", at, at + 2 * SPAN_US, call.agent, exchange_id=call.exchange_id, decision_id=call.id,
                          tool=call.name, arguments=call.arguments, policy="house", rule=f"rule-{rng.randrange(9)}")  # fmt: skip
        if self.made % 250 == 0:
            return [ApprovalChanged(row)]
        said = rng.choice(("approved", "denied", "expired"))
        after = at + rng.randrange(5_000_000, 1_800_000_000)
        answered = msgspec.structs.replace(row, change=2, state=said, decided_by=f"person-{rng.randrange(5)}", decided_us=after)
        return [ApprovalChanged(row), ApprovalChanged(answered)]

    def _failed(self, x: Exchange, addresses: tuple[str, ...]) -> Ended:
        assert x.request is not None
        x.answer = Answer(None, x.request.model)
        x.state, x.status, x.upstream_status, x.error_code = "upstream_error", 503, 503, "overloaded"
        x.error_message, x.unevaluated = "the provider is overloaded", ["answer:error"]
        x.duration_us = 400_000
        row = self._scribe.exchange(x, provider=x.upstream or "", durability="commit", priced=Priced(), links=Links(addresses))
        return Ended(row, findings=(Finding("strict_json", "dup_key", "warn", "$.error", "a key stands twice"),))

    def _ended(self, x: Exchange, addresses: tuple[str, ...], rng: random.Random) -> Ended:
        assert x.request is not None
        tokens = len(x.request.body) // 4
        usage = Usage(tokens // 10, tokens - tokens // 10, None, None, 300, 50)
        key = f"chatcmpl-{rng.getrandbits(64):016x}"
        x.answer = Answer(key, x.request.model, ("tool_calls",), usage, b'{"prompt_tokens":1}', "I will look.")
        x.budgets, x.template_hash = [f"agent-day={x.caller.agent}"], "5f" * 32  # the house's prompt, filled in for each agent
        x.looked, x.looked_before, x.cache = ["secret/1", "card/1", "iban/1", "text_calls/1"], False, "miss" if self.made % 20 else "hit"
        x.state = "denied" if any(not verdict.released for _, verdict in x.calls) else "complete"
        x.first_byte_us, x.upstream_us = rng.randrange(300_000, 2_000_000), 300_000
        x.duration_us, x.overhead_us, x.bytes_out = rng.randrange(2_000_000, 20_000_000), rng.randrange(500, 2500), 900
        response, answered = self._scribe.texts.response_message(x, x.started_us + 1_000_000)
        cost = None if x.request.model == "gemini-3" else (tokens * 3 + 900) / 10**7
        amount = None if cost is None else Decimal(f"{cost:.9f}")
        priced = Priced(amount, "2026-11", x.request.model, saved=amount if x.cache == "hit" else None)
        row = self._scribe.exchange(x, provider=x.upstream or "", durability="commit", priced=priced, links=Links(addresses, response))
        return Ended(row, (), (), answered, ran=(self._measured(),), attempts=self._attempts(x) if self.made % 10 == 0 else ())

    def _attempts(self, x: Exchange) -> tuple[AttemptRow, ...]:
        """Of a route with two targets: the second one answers where the first fails."""
        said = (x.id, x.started_us, x.caller.agent)
        failed = self._rng.random() < 0.1
        first = AttemptRow(*said, 1, "openai", "gpt-5.5", "eu", "primary", "first by weight", status=503 if failed else 200,
                           fault="status" if failed else None, first_byte_us=300_000, duration_us=400_000, answered=not failed)  # fmt: skip
        second = AttemptRow(*said, 2, "azure", "gpt-5.5", "us", "fallback", "the first one failed", status=200, first_byte_us=350_000,
                            duration_us=500_000, answered=True)  # fmt: skip
        return (first, second) if failed else (first,)

    def _measured(self) -> Ran:
        """By a rule; what every answer is looked through for found nothing, and stands with the exchange."""
        rng = self._rng
        score = rng.random() if rng.random() < 0.05 else None
        outcome = "hit" if score is not None and score < 0.02 else "passed"
        return Ran("house_style", "1", policy="house", rule="style", effect="deny", outcome=outcome, score=score)

    def _talk(self) -> Talk:
        return Talk(self._rng, self._corpus, self._bytes, self._prompts)

    def _system(self, number: int) -> Message:
        text = f"You are agent {number}.\n" + self._corpus.cut(1500)
        return Message("system", msgspec.json.encode({"role": "system", "content": text}), text)

    def _tools(self, number: int) -> tuple[Tool, ...]:
        return tuple(
            Tool(name, "function", msgspec.json.encode({"type": "function", "function": {
                "name": name, "description": f"version {number}: does {name}", "parameters": {"type": "object", "properties": {
                    "path": {"type": "string"}, "text": {"type": "string"}}}}}))
            for name in TOOLS
        )  # fmt: skip


async def write(folder: Path, total: int, turn_bytes: int, now_us: int) -> None:
    """Answers each number on stdin with what there is then: exchanges, and bytes of their requests."""
    run, boot = uuid.UUID(int=1).hex, uuid.uuid4().hex
    traffic = Traffic(total, turn_bytes, now_us)

    def first() -> Record:
        traffic.begin_anew()
        return Booted(run, 0, boot, now_us, "bench")

    journal = Journal(folder, run=run, slot=0, boot=boot, durability="interval", first=first)
    await journal.append(*traffic.policies())
    with contextlib.suppress(EOFError):
        while True:
            for records in traffic.exchanges(int(input())):
                await journal.append(*records)
            print(traffic.made, traffic.raw_bytes, flush=True)
    await journal.close()


def main() -> None:
    asked = argparse.ArgumentParser(description="Write made-up exchanges into a journal, as many as stdin says.")
    asked.add_argument("folder", type=Path)
    asked.add_argument("--total", type=int, required=True, help="over how many the thirty days are spread")
    asked.add_argument("--turn-bytes", type=int, required=True, help="mean size of what a turn adds to a conversation")
    asked.add_argument("--now-us", type=int, required=True)
    given = asked.parse_args()
    asyncio.run(write(given.folder, given.total, given.turn_bytes, given.now_us))


if __name__ == "__main__":
    main()
