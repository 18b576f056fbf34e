"""From an exchange to its rows. Pure: what the pipeline saw goes in, records of the book come out, written as the exchange's mode says
(`pens`) and sealed where content is encrypted (`Vault`).

Message bodies are addressed by content and written once per journal stream: agents resend the whole conversation each turn. Addresses are a
tenant's own, and other ones for each mode and each data key: equal bodies of two tenants do not look equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway import identify
from gateway.exchange import (
    READ_TOKENS,
    WRITTEN_TOKENS,
    Attempt,
    Call,
    Caller,
    Exchange,
    Finding,
    Message,
    Request,
    Storing,
    Usage,
    Verdict,
)
from gateway.policy import PolicySet
from gateway.policy.policy_set import Layer
from gateway.prompt.fingerprint import Fingerprint
from gateway.prompt.kept import Kept
from gateway.prompt.library import NO_COMMITS, Library
from gateway.recent import Recent
from gateway.trace import media
from gateway.trace.keyed import keyed
from gateway.trace.pens import Detect, Pen, pens
from gateway.trace.record import (
    AttemptRow,
    CallRow,
    ExchangeRow,
    HeardRow,
    KeptRow,
    MessageRow,
    PolicyRow,
    PromptRow,
    RenderedRow,
    RuleRow,
)
from gateway.trace.redact import Redactor

PREVIEW = 200
LOOKED_AT = PREVIEW + 1024
"""Characters of a text that are looked at for its preview: what begins in it and goes on beyond must be seen whole to be known."""
SEEN = 65_536
MOST_HANDS = 256
"""Kept ready: tenants times modes."""
PROMPT = "prompt:"
"""Prompt texts share the memory of message bodies under this prefix."""


class Priced(Struct, frozen=True):
    """What an answer cost, or why nobody knows."""

    amount: Decimal | None = None
    version: str | None = None
    model: str | None = None
    unpriced: tuple[str, ...] = ()
    rounds: int = 1
    """Answers of the provider behind it."""
    each: tuple[Decimal | None, ...] = ()
    """What each of them cost; empty where that is not known of all."""
    saved: Decimal | None = None
    """What an answer that was given again would have cost."""
    estimated: Decimal | None = None
    """What was taken, about, where nobody heard the answer to its end."""


class Seen:
    """Which message bodies this journal stream has already written: bounded; what was asked for longest ago is forgotten, in two
    generations as in `recent`."""

    def __init__(self, size: int = SEEN) -> None:
        self._most = max(1, size // 2)
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._begin_anew = False

    def begin_anew(self) -> None:
        """Bodies are to be written again, each when it comes next: retention takes them away by segments, and what is still being said must
        not go with the segment in which it was said first. May be called from any thread."""
        self._begin_anew = True

    def first(self, address: str) -> bool:
        """True exactly when the body has to be written."""
        self._anew()
        if address in self._young:
            return False
        new = address not in self._old
        self._old.discard(address)
        self._young.add(address)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return new

    def firsts(self, addresses: Iterable[str]) -> set[str]:
        """Those whose bodies have to be written: of a long conversation hardly any."""
        self._anew()
        return {address for address in addresses if address not in self._young and self.first(address)}

    def _anew(self) -> None:
        if self._begin_anew:
            self._begin_anew = False
            self._young.clear()
            self._old.clear()

    def forget(self, addresses: Iterable[str]) -> None:
        """These could not be written after all."""
        for address in addresses:
            self._young.discard(address)
            self._old.discard(address)


class Sealer(Protocol):
    """Makes content unreadable without a key that may be thrown away."""

    @property
    def scope(self) -> str:
        """Another one for each key."""

    def seal(self, text: str, about: str) -> str:
        """`about` names the row that the text is for; it opens only there."""


class Vault(Protocol):
    def sealer(self, caller: Caller) -> Sealer: ...


class Unsealed:
    """Content is not encrypted."""

    scope = ""

    def sealer(self, caller: Caller) -> Sealer:
        return self

    def seal(self, text: str, about: str) -> str:
        return text


class Hand:
    """Writes for one tenant in one mode."""

    def __init__(self, pen: Pen, teller: Pen, sealer: Sealer, address_key: bytes, *, legible: bool) -> None:
        self.pen, self.key, self._teller, self._sealer, self._legible = pen, address_key, teller, sealer, legible

    def address(self, body: bytes) -> str:
        return _address(self.key, body)

    def body(self, text: str, about: str) -> str:
        """What was said, as it may be kept. Sizes and hashes are for everybody to read."""
        written = self.pen.body(text)
        return self._sealer.seal(written, about) if written and self._legible else written

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        """A reason. It stays legible where content is sealed, so it quotes nothing of it."""
        return self._teller.told(text, quoted)

    def preview(self, text: str, about: str) -> str:
        written = self.pen.body(text)[:PREVIEW]
        return self._sealer.seal(written, about) if written and self._legible else written


class Scribe:
    """Writes rows for one installation: its address key, its redactor and detectors, its vault, its memory of written messages."""

    def __init__(
        self,
        address_key: bytes,
        redactor: Redactor,
        seen: Seen | None = None,
        *,
        detect: Detect = lambda text: (),
        vault: Vault | None = None,
    ) -> None:
        self._key = address_key
        self._pens = pens(redactor, detect, _derived(address_key, "marks"))
        self._vault: Vault = vault or Unsealed()
        self.seen = seen or Seen()
        self._addresses: Recent[tuple[bytes, str]] = Recent(16 * 1024 * 1024)
        """(key, address) of messages by their bytes."""
        self._hands: dict[tuple[Storing, str], Hand] = {}

    def address(self, body: bytes) -> str:
        """Content address: HMAC-SHA-256 cut to 128 bits, hex. Without the key nobody can tell which contents are equal."""
        return _address(self._key, body)

    def pen(self, storing: Storing) -> Pen:
        return self._pens[storing]

    def hand(self, storing: Storing, caller: Caller) -> Hand:
        sealer, tenant = self._vault.sealer(caller), identify.tenant(caller)
        if sealer.scope:  # its key may be dropped at any time
            return self._hand(storing, tenant, sealer)
        found = self._hands.get((storing, tenant))
        if found is None:
            if len(self._hands) >= MOST_HANDS:
                self._hands.clear()
            found = self._hands[storing, tenant] = self._hand(storing, tenant, sealer)
        return found

    def _hand(self, storing: Storing, tenant: str, sealer: Sealer) -> Hand:
        key = _derived(self._key, storing, tenant, sealer.scope)
        teller = self._pens["metadata" if sealer.scope else storing]
        return Hand(self._pens[storing], teller, sealer, key, legible=storing != "metadata")

    def request_messages(self, x: Exchange, now_us: int) -> tuple[tuple[str, ...], tuple[MessageRow, ...]]:
        """(addresses in order, rows of those not written before)."""
        hand, messages = self.hand(x.storing, x.caller), x.request.messages if x.request else ()
        raws = [message.raw for message in messages]
        key, known = hand.key, self._addresses.several(raws)
        addresses = [found[1] if found and found[0] == key else self._again(hand, raw) for found, raw in zip(known, raws, strict=True)]
        new = self.seen.firsts(addresses)
        rows = []
        for address, message in zip(addresses, messages, strict=True) if new else ():
            if address in new:
                new.discard(address)
                rows.append(_message(hand, address, message, now_us))
        return tuple(addresses), tuple(rows)

    def _again(self, hand: Hand, raw: bytes) -> str:
        """The address of a message that was probably sent before."""
        found = self._addresses.get(raw)
        if found is None or found[0] != hand.key:
            found = hand.key, hand.address(raw)
            self._addresses.keep(raw, found)
        return found[1]

    def forget(self, x: Exchange, addresses: Iterable[str]) -> None:
        """These bodies, and the text of its prompt version, could not be written after all."""
        self.seen.forget([*addresses, self._of_prompt(x, x.prompt_hash or "")])

    def response_message(self, x: Exchange, now_us: int) -> tuple[str | None, tuple[MessageRow, ...]]:
        """What the model answered, with every proposed call: the withheld ones are in the record although nobody received them."""
        if not x.answer.text and not x.calls:
            return None, ()
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments, "released": v.released} for c, v in x.calls]
        body = msgspec.json.encode({"role": "assistant", "content": x.answer.text, "calls": calls})
        hand = self.hand(x.storing, x.caller)
        address = hand.address(body)
        if not self.seen.first(address):
            return address, ()
        return address, (MessageRow(address, "assistant", hand.body(body.decode(), about_message(address)), now_us),)

    def prompt(self, x: Exchange, found: Fingerprint, now_us: int) -> PromptRow:
        """The text of a version is written once per journal stream; later rows only say that it was seen."""
        row = PromptRow(hash=found.hash, seen_us=now_us, agent=x.caller.agent)
        if not self.seen.first(self._of_prompt(x, found.hash)):
            return row
        hand, about = self.hand(x.storing, x.caller), about_prompt(found.hash)
        tools = _names_of(hand.pen, found.tools) if x.storing == "metadata" else hand.body(found.tools, about)
        scope = hand.address(b"prompt")
        return msgspec.structs.replace(row, system=hand.body(found.system, about), tools=tools, scope=scope)

    def rendered(self, x: Exchange) -> RenderedRow | None:
        """The kept prompt it was filled with."""
        found = x.rendered
        if found is None:
            return None
        variables = msgspec.json.encode(found.variables).decode()
        body = self.hand(x.storing, x.caller).body(variables, about_rendered(x.id))
        return RenderedRow(x.id, x.started_us, found.name, found.version, found.label or None, body)

    def _of_prompt(self, x: Exchange, prompt: str) -> str:
        return PROMPT + self._again(self.hand(x.storing, x.caller), prompt.encode())

    def call(
        self, x: Exchange, call: Call, verdict: Verdict, *, decision: str, decided_us: int, judged_us: int
    ) -> CallRow:
        hand = self.hand(x.storing, x.caller)
        pen, quoted = hand.pen, (call.args if call.args is not None else call.arguments, x.caller.session)
        return CallRow(
            exchange_id=x.id,
            id=decision,
            decided_us=decided_us,
            index=call.index,
            call_id=pen.name(call.id),
            name=pen.name(call.name),
            type=pen.name(call.type),
            arguments=hand.body(call.arguments, about_call(decision)),
            arguments_hash=self.address(canonical(call)),
            effect=verdict.effect,
            released=verdict.released,
            code=pen.name(verdict.code),
            reason=hand.told(verdict.reason, quoted),
            agent=x.caller.agent,
            session=self.session(x),
            policy=verdict.policy,
            rule=verdict.rule,
            would=verdict.would,
            policy_hash=x.policy_hash,
            judged_us=judged_us,
            approval=verdict.approval,
            decided_by=pen.told(verdict.decided_by),
            hits=tuple(msgspec.structs.replace(hit, message=hand.told(hit.message, quoted)) for hit in verdict.hits),
        )

    def heard(self, x: Exchange, now_us: int) -> tuple[HeardRow, ...]:
        pen = self._pens[x.storing]
        return tuple(
            HeardRow(
                exchange_id=x.id,
                heard_us=now_us,
                hook=each.hook,
                path=each.path,
                policy=each.hit.policy,
                rule=each.hit.rule,
                effect=each.hit.effect,
                mode=each.hit.mode,
                error=each.hit.error,
                message=pen.told(each.hit.message, (x.caller.session,)),
                line=each.hit.line,
                detector=each.detector,
                action=each.action,
                original=each.original,
            )
            for each in x.heard
        )

    def findings(self, x: Exchange) -> tuple[Finding, ...]:
        pen = self._pens[x.storing]
        return tuple(
            msgspec.structs.replace(each, code=pen.name(each.code), path=pen.name(each.path), detail=pen.body(each.detail))
            for each in x.findings
        )

    def session(self, x: Exchange) -> str:
        """As it is written: a derived one is a hash already."""
        derived = x.caller.session_source in ("", "derived")
        return x.caller.session if derived else self._pens[x.storing].label(x.caller.session)

    def exchange(self, x: Exchange, *, provider: str, durability: str, priced: Priced, links: Links) -> ExchangeRow:
        request, answer, usage, caller = x.request, x.answer, x.answer.usage, x.caller
        hand = self.hand(x.storing, caller)
        pen = hand.pen
        return ExchangeRow(
            id=x.id,
            started_us=x.started_us,
            dialect=x.dialect,
            provider=provider,
            operation=request.operation if request else "chat",
            route=pen.name(x.route),
            agent=caller.agent,
            key_id=caller.key_id,
            team=caller.team,
            user=caller.user,
            session=self.session(x),
            session_source=caller.session_source,
            client=pen.label(caller.client),
            client_request_id=_or_none(pen.label, x.client_request_id),
            trace_id=x.trace.trace_id if x.trace else None,
            parent_span_id=x.trace.span_id if x.trace else None,
            trace_sampled=x.trace.sampled if x.trace else None,
            request_model=pen.name(request.model) if request else "",
            response_model=_or_none(pen.name, answer.model),
            response_id=_or_none(pen.name, answer.id),
            stream=request.stream if request else False,
            temperature=request.temperature if request else None,
            max_tokens=request.max_tokens if request else None,
            upstream=x.upstream,
            upstream_status=x.upstream_status,
            status=x.status,
            state=x.state,
            error_code=_or_none(pen.name, x.error_code),
            error_message=_or_none(lambda text: hand.body(text, about_exchange(x.id)), x.error_message),
            finish_reasons=tuple(map(pen.name, answer.finish)),
            input_tokens=usage.input if usage else None,
            cache_read_tokens=usage.cache_read if usage else None,
            cache_write_tokens=usage.cache_write if usage else None,
            cache_write_1h_tokens=usage.cache_write_1h if usage else None,
            output_tokens=usage.output if usage else None,
            reasoning_tokens=usage.reasoning if usage else None,
            usage_raw=pen.body(answer.usage_raw.decode("utf-8", "replace")) if answer.usage_raw else None,
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
            unevaluated=tuple(map(pen.name, x.unevaluated)),
            request_bytes=x.request_bytes,
            bytes_out=x.bytes_out,
            first_byte_us=x.first_byte_us,
            upstream_us=x.upstream_us,
            duration_us=x.duration_us,
            overhead_us=x.overhead_us,
            request_messages=links.request,
            response_message=links.response,
            input_preview=hand.preview(_asked(request), about_exchange(x.id)),
            output_preview=hand.preview(answer.text[:LOOKED_AT], about_exchange(x.id)),
            upstream_dialect=x.translated or None,
            dropped_fields=tuple(map(pen.name, x.dropped)),
            storing=x.storing,
            audio_input_tokens=usage.audio_input if usage else None,
            audio_cache_read_tokens=usage.audio_cache_read if usage else None,
            image_input_tokens=usage.image_input if usage else None,
            audio_output_tokens=usage.audio_output if usage else None,
            image_output_tokens=usage.image_output if usage else None,
            web_searches=usage.searches if usage else None,
            service_tier=_or_none(pen.name, usage.tier or None if usage else None),
            price_terms=(*usage.terms, *usage.fees) if usage else (),
            not_priced=tuple(map(pen.name, priced.unpriced)),
            rounds=priced.rounds,
            experiment=(x.rendered.experiment or None) if x.rendered else None,
            arm=(x.rendered.arm or None) if x.rendered else None,
            edition=(x.rendered.edition or None) if x.rendered else None,
            template_hash=x.template_hash,
            budgets=tuple(_budget(pen, caller, each) for each in x.budgets),
            upstream_model=_or_none(pen.name, x.upstream_model),
            region=x.region or None,
            attempts=len(x.attempts),
            looked=" ".join(x.looked),
            looked_before=x.looked_before,
            cache=x.cache,
            cached_from=x.cached_from,
            saved_cost=None if priced.saved is None else format(priced.saved, "f"),
            estimated_cost=None if priced.estimated is None else format(priced.estimated, "f"),
            estimate=x.guess.how if x.guess else None,
            org=caller.org,
        )

    def attempts(self, x: Exchange, priced: Priced) -> tuple[AttemptRow, ...]:
        """Rounds are answered one after the other: what each took and cost belongs to its answered attempt."""
        known = zip(x.rounds, priced.each, strict=True) if len(priced.each) == len(x.rounds) else iter(())
        return tuple(self.attempt(x, each, *(next(known, (None, None)) if each.answered else (None, None))) for each in x.attempts)

    def attempt(self, x: Exchange, made: Attempt, usage: Usage | None = None, cost: Decimal | None = None) -> AttemptRow:
        pen = self._pens[x.storing]
        return AttemptRow(
            exchange_id=x.id,
            started_us=made.started_us,
            agent=x.caller.agent,
            ordinal=made.ordinal,
            upstream=made.upstream,
            model=pen.name(made.model),
            region=made.region,
            kind=made.kind,
            why=made.why,
            round=made.round,
            waited_us=made.waited_us,
            first_byte_us=made.first_byte_us,
            duration_us=made.duration_us,
            status=made.status,
            fault=made.fault or None,
            retry_after_ms=made.retry_after_ms,
            unsure=made.unsure,
            answered=made.answered,
            read_tokens=_tokens(usage, READ_TOKENS),
            written_tokens=_tokens(usage, WRITTEN_TOKENS),
            cost=None if cost is None else format(cost, "f"),
        )


def _tokens(usage: Usage | None, classes: Sequence[str]) -> int | None:
    counts = [count for name in classes if (count := getattr(usage, name, None)) is not None]
    return sum(counts) if counts else None


def about_message(address: str) -> str:
    return f"message:{address}"


def about_prompt(prompt: str) -> str:
    return f"prompt:{prompt}"


def about_rendered(exchange: str) -> str:
    return f"rendered:{exchange}"


def about_call(decision: str) -> str:
    return f"call:{decision}"


def about_approval(approval: str) -> str:
    return f"approval:{approval}"


def about_feedback(feedback: str) -> str:
    return f"feedback:{feedback}"


def about_exchange(exchange: str) -> str:
    return f"exchange:{exchange}"


def _address(key: bytes, body: bytes) -> str:
    return keyed(key).digest(body)[:16].hex()


@lru_cache(maxsize=4096)
def _derived(key: bytes, *parts: str) -> bytes:
    return keyed(key).digest(msgspec.json.encode(parts))


def _budget(pen: Pen, caller: Caller, counted: str) -> str:
    """`id=subject`. The id, and whoever the key says, are the operator's words; a session and a tag may be the client's."""
    name, _, subject = counted.partition("=")
    of_the_key = {"", caller.key_id, caller.org, caller.agent, caller.team, caller.user, *caller.labels.values()}
    known = subject in of_the_key or subject.removeprefix(f"{caller.org}/") in of_the_key
    return f"{name}={subject if known else pen.label(subject)}"


def _or_none(write: Callable[[str], str], text: str | None) -> str | None:
    return None if text is None else write(text)


def _message(hand: Hand, address: str, message: Message, now_us: int) -> MessageRow:
    found, about = tuple(map(media.row, message.media)), about_message(address)
    body = hand.body(media.body(message, found).decode("utf-8", "replace"), about)
    kept = tuple(msgspec.structs.replace(row, url=hand.body(row.url, about)) if row.url else row for row in found)
    return MessageRow(hash=address, role=hand.pen.name(message.role), body=body, first_us=now_us, media=kept)


def _names_of(pen: Pen, tools: str) -> str:
    """Of declared tools, the names: which were offered is a fact."""
    named = [pen.name(name) for name in map(_tool_name, msgspec.json.decode(tools)) if name] if tools else []
    return msgspec.json.encode([{"name": name} for name in named]).decode() if named else ""


def _tool_name(tool: object) -> str:
    """As the view `tools_seen` finds it."""
    match tool:
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}} | {"name": str(name)} | {"type": str(name)}:
            return name
    return ""


def policy_row(policies: PolicySet, loaded_us: int) -> PolicyRow:
    """What is recorded of a version when it is put in force."""
    layers = {layer.file: layer for policy in (*policies.policies, *policies.libraries) for layer in policy.layers}
    rules = tuple(rule for layer in layers.values() for rule in _rules(layer))
    return PolicyRow(hash=policies.hash, loaded_us=loaded_us, git=policies.git, files=policies.files, rules=rules)


def kept_rows(prompts: Library, loaded_us: int) -> tuple[KeptRow, ...]:
    """What is recorded of the versions that are served: the files as they stand and those that labels point at."""
    found: list[KeptRow] = []
    for name, head in prompts.heads.items():
        labels = prompts.labels(name)
        for version in sorted({head.version, *labels.values()} & prompts.versions[name].keys()):
            mine = tuple(sorted(label for label, at in labels.items() if at == version))
            kept = prompts.versions[name][version]
            found.append(KeptRow(name, version, loaded_us, prompts.git, mine, kept.source, *_committed(prompts, kept)))
    return tuple(found)


def _committed(prompts: Library, kept: Kept) -> tuple[str | None, str | None, bool | None]:
    """The commit, its author, and whether the file is what is committed; all of them None of what nobody can tell."""
    if kept.version != prompts.heads[kept.name].version or prompts.commits == NO_COMMITS:
        return None, None, None
    if kept.name in prompts.commits.uncommitted:
        return None, None, False
    commit = prompts.commits.latest.get(kept.name)
    return (commit.id, commit.author, True) if commit else (None, None, True)


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
    return next(users, "")[:LOOKED_AT]


def canonical(call: Call) -> bytes:
    """Equal arguments are equal bytes, however they were written; unreadable ones stand for themselves."""
    values: Mapping[str, object] | None = call.args
    head = call.name.encode("utf-8", "surrogatepass") + b"\0"
    if values is None:
        return head + call.arguments.encode("utf-8", "surrogatepass")
    return head + msgspec.json.encode(values, order="deterministic")
