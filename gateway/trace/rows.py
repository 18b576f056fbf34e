"""From an exchange to its rows. Pure: what the pipeline saw goes in, records of the book come out, known secrets already taken out.

Message bodies are addressed by content and written once per journal stream and day: agents resend the whole conversation each turn.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.exchange import Call, Exchange, Message, Request, Verdict
from gateway.policy import PolicySet
from gateway.policy.policy_set import Layer
from gateway.prompt.fingerprint import Fingerprint
from gateway.trace import media
from gateway.trace.days import day_of
from gateway.trace.record import CallRow, ExchangeRow, MessageRow, PolicyRow, PromptRow, RuleRow
from gateway.trace.redact import Redactor

PREVIEW = 200
SEEN = 65_536
PROMPT = "prompt:"
"""Prompt texts share the memory of message bodies under this prefix."""


class Priced(Struct, frozen=True):
    """What an answer cost, or why nobody knows."""

    amount: Decimal | None = None
    version: str | None = None
    model: str | None = None


class Seen:
    """Which message bodies this journal stream has already written today (bounded, least recently used out first): a body that is
    still in use is written anew each day, so that the ledger may forget what is older than some day."""

    def __init__(self, size: int = SEEN) -> None:
        self._size = size
        self._hashes: OrderedDict[str, None] = OrderedDict()
        self._day = 0

    def first(self, address: str, now_us: int) -> bool:
        """True exactly when the body has to be written."""
        if day_of(now_us) > self._day:
            self._day = day_of(now_us)
            self._hashes.clear()
        if address in self._hashes:
            self._hashes.move_to_end(address)
            return False
        self._hashes[address] = None
        if len(self._hashes) > self._size:
            self._hashes.popitem(last=False)
        return True

    def forget(self, addresses: Iterable[str]) -> None:
        """These could not be written after all."""
        for address in addresses:
            self._hashes.pop(address, None)


class Scribe:
    """Writes rows for one installation: its address key, its redactor, its memory of written messages."""

    def __init__(self, address_key: bytes, redactor: Redactor, seen: Seen | None = None) -> None:
        self._key = address_key
        self._redactor = redactor
        self.seen = seen or Seen()

    def address(self, body: str | bytes) -> str:
        """Content address: HMAC-SHA-256 cut to 128 bits, hex. Without the key nobody can tell which messages are equal."""
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        return hmac.digest(self._key, data, hashlib.sha256)[:16].hex()

    def request_messages(self, request: Request, now_us: int) -> tuple[tuple[str, ...], tuple[MessageRow, ...]]:
        """(addresses in order, rows of those not written before)."""
        addresses, rows = [], []
        for message in request.messages:
            address = self.address(message.raw)
            addresses.append(address)
            if self.seen.first(address, now_us):
                rows.append(self._message(address, message, now_us))
        return tuple(addresses), tuple(rows)

    def _message(self, address: str, message: Message, now_us: int) -> MessageRow:
        found = tuple(map(media.row, message.media))
        body = self._redactor.text(media.body(message, found).decode("utf-8", "replace"))
        kept = tuple(
            msgspec.structs.replace(row, url=self._redactor.text(row.url)) if row.url else row for row in found
        )
        return MessageRow(hash=address, role=message.role, body=body, first_us=now_us, media=kept)

    def forget(self, addresses: Iterable[str], prompt: str | None) -> None:
        """These bodies, and this prompt version's text, could not be written after all."""
        self.seen.forget([*addresses, PROMPT + (prompt or "")])

    def response_message(self, x: Exchange, now_us: int) -> tuple[str | None, tuple[MessageRow, ...]]:
        """What the model answered, with every proposed call: the withheld ones are in the record although nobody received them."""
        if not x.answer.text and not x.calls:
            return None, ()
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments, "released": v.released} for c, v in x.calls]
        body = msgspec.json.encode({"role": "assistant", "content": x.answer.text, "calls": calls})
        address = self.address(body)
        row = MessageRow(hash=address, role="assistant", body=self._redactor.text(body.decode()), first_us=now_us)
        return address, (row,) if self.seen.first(address, now_us) else ()

    def prompt(self, found: Fingerprint, agent: str, now_us: int) -> PromptRow:
        """The text of a version is written once per journal stream and day; later rows only say that it was seen."""
        if not self.seen.first(PROMPT + found.hash, now_us):
            return PromptRow(hash=found.hash, seen_us=now_us, agent=agent)
        system, tools = self._redactor.text(found.system), self._redactor.text(found.tools)
        return PromptRow(hash=found.hash, seen_us=now_us, agent=agent, system=system, tools=tools)

    def call(
        self, x: Exchange, call: Call, verdict: Verdict, *, decision: str, decided_us: int, judged_us: int
    ) -> CallRow:
        return CallRow(
            exchange_id=x.id,
            id=decision,
            decided_us=decided_us,
            index=call.index,
            call_id=call.id,
            name=self._redactor.text(call.name),
            type=call.type,
            arguments=self._redactor.text(call.arguments),
            arguments_hash=self.address(canonical(call)),
            effect=verdict.effect,
            released=verdict.released,
            code=verdict.code,
            reason=self._redactor.text(verdict.reason),
            agent=x.caller.agent,
            session=x.caller.session,
            policy=verdict.policy,
            rule=verdict.rule,
            would=verdict.would,
            policy_hash=x.policy_hash,
            judged_us=judged_us,
            approval=verdict.approval,
            decided_by=self._redactor.text(verdict.decided_by),
            hits=tuple(msgspec.structs.replace(hit, message=self._redactor.text(hit.message)) for hit in verdict.hits),
        )

    def exchange(self, x: Exchange, *, provider: str, durability: str, priced: Priced, links: Links) -> ExchangeRow:
        request, answer, usage, caller = x.request, x.answer, x.answer.usage, x.caller
        text = self._redactor.text
        return ExchangeRow(
            id=x.id,
            started_us=x.started_us,
            dialect=x.dialect,
            provider=provider,
            operation=request.operation if request else "chat",
            route=x.route,
            agent=caller.agent,
            key_id=caller.key_id,
            team=caller.team,
            user=caller.user,
            session=caller.session,
            session_source=caller.session_source,
            client=text(caller.client),
            client_request_id=x.client_request_id,
            request_model=text(request.model) if request else "",
            response_model=answer.model,
            response_id=answer.id,
            stream=request.stream if request else False,
            temperature=request.temperature if request else None,
            max_tokens=request.max_tokens if request else None,
            upstream=x.upstream,
            upstream_status=x.upstream_status,
            status=x.status,
            state=x.state,
            error_code=x.error_code,
            error_message=text(x.error_message) if x.error_message else None,
            finish_reasons=answer.finish,
            input_tokens=usage.input if usage else None,
            cache_read_tokens=usage.cache_read if usage else None,
            cache_write_tokens=usage.cache_write if usage else None,
            cache_write_1h_tokens=usage.cache_write_1h if usage else None,
            output_tokens=usage.output if usage else None,
            reasoning_tokens=usage.reasoning if usage else None,
            usage_raw=text(answer.usage_raw.decode("utf-8", "replace")) if answer.usage_raw else None,
            cost=None if priced.amount is None else format(priced.amount, "f"),
            price_version=priced.version,
            price_model=priced.model,
            prompt_hash=x.prompt_hash,
            policy_hash=x.policy_hash,
            policy_git=x.policy_git,
            enforcing=x.enforcing,
            durability=durability,
            calls=len(x.calls),
            denied=sum(not verdict.released for _, verdict in x.calls),
            unevaluated=tuple(x.unevaluated),
            request_bytes=x.request_bytes,
            bytes_out=x.bytes_out,
            first_byte_us=x.first_byte_us,
            upstream_us=x.upstream_us,
            duration_us=x.duration_us,
            overhead_us=x.overhead_us,
            request_messages=links.request,
            response_message=links.response,
            input_preview=text(_asked(request))[:PREVIEW],
            output_preview=text(answer.text)[:PREVIEW],
            upstream_dialect=x.translated or None,
            dropped_fields=tuple(map(text, x.dropped)),
        )


def policy_row(policies: PolicySet, loaded_us: int) -> PolicyRow:
    """What is recorded of a version when it is put in force."""
    layers = {layer.file: layer for policy in (*policies.policies, *policies.libraries) for layer in policy.layers}
    rules = tuple(rule for layer in layers.values() for rule in _rules(layer))
    return PolicyRow(hash=policies.hash, loaded_us=loaded_us, git=policies.git, files=policies.files, rules=rules)


def _rules(layer: Layer) -> Iterator[RuleRow]:
    for glob, line in layer.grants or ():
        yield _rule(layer, "allow", "grant", "allow", layer.mode, (glob,), line)
    for guard in layer.guards:
        mode = "shadow" if "shadow" in (layer.mode, guard.mode) else "enforce"
        yield _rule(layer, guard.id, "guard", guard.effect, mode, guard.tools, guard.line)
    for cap in layer.caps:
        mode = "shadow" if "shadow" in (layer.mode, cap.mode) else "enforce"
        yield _rule(layer, cap.id, "guard", cap.effect, mode, cap.tools, cap.line)


def _rule(layer: Layer, rule: str, kind: str, effect: str, mode: str, tools: tuple[str, ...], line: int) -> RuleRow:
    named = [glob for glob in tools if glob.strip("*")]
    pattern = "|".join(re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") for glob in named)
    return RuleRow(layer.policy, rule, kind, effect, mode, tools, pattern, not named, layer.file, line)


class Links(Struct, frozen=True):
    """Content addresses of an exchange's messages."""

    request: tuple[str, ...] = ()
    response: str | None = None


def _asked(request: Request | None) -> str:
    """The last thing the user said (redaction needs the whole of a secret, so this is cut generously first)."""
    users = (m.text for m in reversed(request.messages) if m.role == "user" and m.text) if request else iter(())
    return next(users, "")[: 20 * PREVIEW]


def canonical(call: Call) -> bytes:
    """Equal arguments are equal bytes, however they were written; unreadable ones stand for themselves."""
    values: Mapping[str, object] | None = call.args
    head = call.name.encode("utf-8", "surrogatepass") + b"\0"
    if values is None:
        return head + call.arguments.encode("utf-8", "surrogatepass")
    return head + msgspec.json.encode(values, order="deterministic")
