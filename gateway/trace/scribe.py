"""From an exchange to its rows. Pure: what the pipeline saw goes in, records of the book come out, written by the hand of its tenant
(`hand`); messages and prompt versions are written by `texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.answer import READ_TOKENS, WRITTEN_TOKENS, Usage
from gateway.exchange import Attempt, Caller, Exchange
from gateway.request import Request
from gateway.trace.exchange_rows import AttemptRow, CallRow, ExchangeRow, HeardRow
from gateway.trace.hand import PREVIEW, Hands, Vault, about_call, about_exchange, about_rendered
from gateway.trace.pens import Detect, Pen
from gateway.trace.prompt_rows import RenderedRow
from gateway.trace.redact import Redactor
from gateway.trace.texts import Seen, Texts
from gateway.verdict import Call, Finding, Verdict

LOOKED_AT = PREVIEW + 1024
"""Characters of a text that are looked at for its preview: what begins in it and goes on beyond must be seen whole to be known."""


class Priced(Struct, frozen=True):
    """What an answer cost, or why nobody knows."""

    amount: Decimal | None = None
    version: str | None = None
    model: str | None = None
    unpriced: tuple[str, ...] = ()
    rounds: int = 1
    """Answers of the provider behind it."""
    each: tuple[Decimal | None, ...] = ()
    """What each of them cost, None where that is not known; empty where it is known of none."""
    saved: Decimal | None = None
    """What an answer that was given again would have cost."""
    estimated: Decimal | None = None
    """What was taken, about, where nobody heard the answer to its end: of those before it what they cost."""
    guessed: Decimal | None = None
    """The last answer's part in that."""


class Links(Struct, frozen=True):
    """Content addresses of an exchange's messages."""

    request: tuple[str, ...] = ()
    response: str | None = None


class Scribe:
    """Writes rows for one installation: its hands, its memory of written texts."""

    def __init__(
        self,
        address_key: bytes,
        redactor: Redactor,
        seen: Seen | None = None,
        *,
        detect: Detect = lambda text: (),
        vault: Vault | None = None,
    ) -> None:
        self.hands = Hands(address_key, redactor, detect, vault)
        self.texts = Texts(self.hands, seen or Seen())

    def rendered(self, x: Exchange) -> RenderedRow | None:
        """The kept prompt it was filled with."""
        found = x.rendered
        if found is None:
            return None
        variables = msgspec.json.encode(found.variables).decode()
        body = self.hands.of(x.storing, x.caller).body(variables, about_rendered(x.id))
        return RenderedRow(x.id, x.started_us, found.name, found.version, found.label or None, body)

    def call(
        self, x: Exchange, call: Call, verdict: Verdict, *, decision: str, decided_us: int, judged_us: int
    ) -> CallRow:
        hand = self.hands.of(x.storing, x.caller)
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
            arguments_hash=self.hands.address(canonical(call)),
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
        pen = self.hands.pens[x.storing]
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
        pen = self.hands.pens[x.storing]
        return tuple(
            msgspec.structs.replace(each, code=pen.name(each.code), path=pen.name(each.path), detail=pen.body(each.detail))
            for each in x.findings
        )

    def session(self, x: Exchange) -> str:
        """As it is written: a derived one is a hash already."""
        derived = x.caller.session_source in ("", "derived")
        return x.caller.session if derived else self.hands.pens[x.storing].label(x.caller.session)

    def exchange(self, x: Exchange, *, provider: str, durability: str, priced: Priced, links: Links, place: str = "") -> ExchangeRow:
        request, answer, usage, caller = x.request, x.answer, x.answer.usage, x.caller
        hand = self.hands.of(x.storing, caller)
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
            price_terms=(*usage.at(place).terms, *usage.fees) if usage else (),
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
        pen = self.hands.pens[x.storing]
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


def _budget(pen: Pen, caller: Caller, counted: str) -> str:
    """`id=subject`. The id, and whoever the key says, are the operator's words; a session and a tag may be the client's."""
    name, _, subject = counted.partition("=")
    of_the_key = {"", caller.key_id, caller.org, caller.agent, caller.team, caller.user, *caller.labels.values()}
    known = subject in of_the_key or subject.removeprefix(f"{caller.org}/") in of_the_key
    return f"{name}={subject if known else pen.label(subject)}"


def _or_none(write: Callable[[str], str], text: str | None) -> str | None:
    return None if text is None else write(text)


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
