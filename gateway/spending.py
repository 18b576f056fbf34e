"""Budgets on the way of a request: what it may cost at the most is reserved before a provider is asked, what it did cost is settled after.

1. One transaction takes from all budgets that concern a request, or from none: of many at once exactly as many pass as fit. Without
   budgets, nothing is asked of anybody.
2. What is taken lies on a lease (`gateway/leases.py`). Time is the store's steady one: setting a clock frees nothing.
3. The worst case: each byte of the request a token (media and what the provider keeps or fetches: all that the model reads), as many tokens
   of answer as asked for or as the model writes, at its dearest price. Where nothing bounds it, a hard budget refuses. What a provider's
   searches cost on top is counted afterwards. A soft budget holds nothing for it.
4. An attempt that failed and is followed by another is settled by itself, before the other one reserves.
5. What is not known afterwards (the provider gave no usage, the model has no price) counts as the worst case, but for an answer that
   nobody heard to its end: it counts as what it took about (`gateway/reckoning.py`). What never reached a provider, or was refused by it,
   costs nothing. Where a model is asked again, each question by itself.
6. A soft budget that is used up is a finding on each exchange over it; the first in a window is `soft_limit_reached`: people are told of
   that one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import Sequence
from decimal import Decimal
from math import ceil
from shlex import quote

import msgspec
from msgspec import Struct

from gateway import identify
from gateway.answer import TOKENS, TOKENS_BESIDE, Answer, Guess, Usage
from gateway.budget_settings import LARGEST, Budget, Of, nano
from gateway.errors import GatewayError, Kind
from gateway.exchange import Caller
from gateway.leases import LEASE_US, Holding
from gateway.people.bound import name_of
from gateway.policy.limits import Charge
from gateway.reckoning import Heard, guess, most_read, most_written
from gateway.request import Operation, Request
from gateway.state.limits import Lease, Limits, Taking
from gateway.verdict import Finding
from gateway.visit import Visit

log = logging.getLogger("gateway.spending")

COSTLY: frozenset[Operation] = frozenset({"chat", "compact", "embeddings"})
"""What is counted. What passes unjudged (`pass_through`) cannot be priced; what is fetched was counted when it was made."""
STEPS: frozenset[Of] = frozenset({"requests", "calls"})
"""What an agent uses also when nobody is paid."""
_KEPT_US = {"day": 3, "month": 62, "session": 31, "total": 36_500}
"""Days for which something is remembered that has no sliding window."""
_DAY_US = 86_400_000_000
_OVER: Kind = "over_budget"
_MANY: Kind = "too_many"


class Claim(Struct, frozen=True):
    """What one budget takes for one request."""

    budget: Budget
    subject: str
    amount: int

    def charge(self, caller: Caller, now_us: int) -> Charge:
        soft, budget = self.budget.action == "soft", self.budget
        return charge(budget, self.subject, session_of(budget, caller), self.amount, now_us, most=LARGEST if soft else budget.most)


class Outcome(Struct, frozen=True):
    """What came of claims."""

    taking: Taking
    charges: tuple[Charge, ...]
    now_us: int
    frees_us: tuple[int | None, ...] = ()
    """For each claim that did not fit: when it will."""


def charge(budget: Budget, subject: str, session: tuple[str | None, ...], amount: int, now_us: int, *, most: int) -> Charge:
    whose = (budget.per, subject, *session, *period(budget.window, now_us))
    kept = _KEPT_US.get(budget.window, 0) * _DAY_US
    return Charge("budget", budget.id, budget.of, whose, amount, most, budget.window_us, kept_us=kept)


def session_of(budget: Budget, caller: Caller) -> tuple[str | None, ...]:
    per_session = budget.window == "session" or budget.per == "session"
    return (name_of(caller.org, caller.agent), caller.key_id, caller.session) if per_session else ()


def period(window: str, now_us: int) -> tuple[str, ...]:
    """The calendar's name for a time, where the window is of the calendar."""
    length = {"day": 10, "month": 7}.get(window)
    return () if length is None else (_moment(now_us).isoformat()[:length],)


def _moment(at_us: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_us // 1_000_000, dt.UTC)


def subject_of(budget: Budget, caller: Caller, tag: str) -> str:
    """Callers whose key does not say count together; agents, teams and users of two organisations never do. `tag` is what the request says
    of itself, for a label that the key does not have."""
    if budget.per.startswith("tag:"):
        return caller.labels.get(budget.per[4:]) or tag
    if budget.per in ("agent", "team", "user"):
        return name_of(caller.org, {"agent": caller.agent, "team": caller.team, "user": caller.user}[budget.per] or "")
    return {"all": "", "key": caller.key_id, "org": caller.org, "session": caller.session}[budget.per] or ""


async def reserve(visit: Visit, request: Request, *, again: bool = False) -> None:
    """Raises GatewayError when a hard budget has no room for it, or nobody can tell. `again`: an answer is given again, which is a step of
    the agent and takes neither money nor tokens."""
    claims = _claims(visit, request, visit.book.provider, steps_only=again)
    if not claims:
        return
    _name(visit, claims)
    lease = secrets.randbits(62)
    try:
        found = await visit.gateway.ask(_reserved, visit.gateway.limits, claims, visit.x.caller, lease)
    except GatewayError as error:
        _let_soft_pass(visit, claims, error)
        return
    if not found.taking.taken:
        raise _refusal(visit, claims, found)
    visit.holding, before = _held(visit, claims, found, lease), visit.holding
    if before is not None:  # a request that asks a model again holds for each time it asks
        visit.holdings.append(before)
    await _warn(visit, claims, found)


async def reserve_beside(visit: Visit, request: Request, provider: str) -> Holding | None:
    """For a request that is made beside the visit's own; None where no budget is concerned. Raises GatewayError where there is no room."""
    claims, lease = _claims(visit, request, provider), secrets.randbits(62)
    if not claims:
        return None
    found = await visit.gateway.ask(_reserved, visit.gateway.limits, claims, visit.x.caller, lease)
    if not found.taking.taken:
        raise GatewayError(_OVER, "budget_exceeded", "There is no room for this in a budget.")
    return _held(visit, claims, found, lease)


def _claims(visit: Visit, request: Request, provider: str, *, steps_only: bool = False) -> list[Claim]:
    budgets = visit.gateway.settings.budgets
    if not budgets or request.operation not in COSTLY:
        return []
    if steps_only:
        budgets = [budget for budget in budgets if budget.of in STEPS]
    return [claim for budget in budgets if (claim := _claim(visit, request, provider, budget)) is not None]


def _claim(visit: Visit, request: Request, provider: str, budget: Budget) -> Claim | None:
    """A budget for some models concerns what the client asks for under their names, and what it gets under another one."""
    x, caller = visit.x, visit.x.caller
    names = {request.model, x.request.model if x.request else ""}
    if not any(budget.concerns(caller, name, x.route) for name in names):
        return None
    return Claim(budget, subject_of(budget, caller, _tag(visit, budget)), _worst(visit, request, provider, budget))


def _tag(visit: Visit, budget: Budget) -> str:
    """What the request says of itself."""
    header = f"x-tollhouse-tag-{budget.per.removeprefix('tag:').lower()}"
    return identify.label(visit.incoming.named.get(header), 100) if budget.per.startswith("tag:") else ""


def _name(visit: Visit, claims: Sequence[Claim]) -> None:
    known = visit.x.budgets
    known += [name for claim in claims if (name := f"{claim.budget.id}={claim.subject}") not in known]


def _worst(visit: Visit, request: Request, provider: str, budget: Budget) -> int:
    """How much one request can take at the most. Raises GatewayError where a hard budget cannot know."""
    if budget.of in STEPS:
        return 1
    if budget.action == "soft":
        return 0
    prices = visit.gateway.prices
    reads, writes = prices.bounds(provider, request.model)
    read, written = most_read(request, reads), most_written(request, writes)
    if read is None or written is None:
        raise _unbounded(budget, request, "how much of it the model reads" if read is None else "how long its answer may become")
    if budget.of == "tokens":
        return read + written
    cost = prices.worst(provider, request.model, read, written)
    if cost is None:
        raise _unbounded(budget, request, "what its model costs")
    return min(nano(cost), LARGEST)


def _unbounded(budget: Budget, request: Request, what: str) -> GatewayError:
    message = (
        f"{_named(budget)} must know before it lets this request pass {what}, and nothing says so for the model "
        f"'{identify.label(request.model)}'. Set a limit of tokens in the request, send media and history in it, or give the model a price "
        "in tollhouse.yaml under prices."
    )
    return GatewayError("refused", "budget_unbounded", message, param="model")


def _reserved(limits: Limits, claims: Sequence[Claim], caller: Caller, lease: int) -> Outcome:
    now = limits.steady_us()
    charges = tuple(claim.charge(caller, now) for claim in claims)
    taking = limits.take(charges, now, Lease(lease, now + LEASE_US))
    if taking.taken:
        return Outcome(taking, charges, now)
    full = [each for each, spent in zip(charges, taking.spent, strict=True) if not each.fits(spent)]
    return Outcome(taking, charges, now, tuple(limits.frees_us(each, now) for each in full))


def _let_soft_pass(visit: Visit, claims: Sequence[Claim], error: GatewayError) -> None:
    """A budget that only warns stops nobody because it cannot be counted; one that binds does."""
    if any(claim.budget.action == "hard" for claim in claims):
        raise error
    for claim in claims:
        visit.x.findings.append(Finding("budget", "not_counted", "warn", claim.budget.id, "the state store could not be asked"))


def _held(visit: Visit, claims: Sequence[Claim], found: Outcome, lease: int) -> Holding:
    held = list(zip(found.charges, found.taking.taken, strict=True))
    kinds = [str(claim.budget.of) for claim in claims]
    visit.gateway.leases.add(lease, visit.gateway.limits, visit.gateway.ask)
    return Holding(lease, held, kinds, 0 if visit.latest is None else len(visit.x.earlier) + 1)


def _refusal(visit: Visit, claims: Sequence[Claim], found: Outcome) -> GatewayError:
    full = [(claim, spent) for claim, each, spent in zip(claims, found.charges, found.taking.spent, strict=True) if not each.fits(spent)]
    waits = [_wait_us(claim.budget, frees, found.now_us) for (claim, _), frees in zip(full, found.frees_us, strict=True)]
    for claim, spent in full:
        visit.x.findings.append(Finding("budget", "hard_limit", "error", claim.budget.id, _standing(claim, spent), "refused"))
    claim, spent = full[0]
    if any(wait is None for wait in waits):
        until = "Waiting frees nothing of it." if claim.amount <= claim.budget.most else "It would not fit into an unused one either."
        kind, retry = _OVER, None
    else:
        longest = max(wait for wait in waits if wait is not None)
        until = f"There is room again at {_moment(found.now_us + longest).strftime('%Y-%m-%dT%H:%M:%SZ')}."
        kind, retry = _MANY, max(1, ceil(longest / 1_000_000))
    message = f"{_named(claim.budget)} {_standing(claim, spent)}. {until} {_advice(claim)}"
    return GatewayError(kind, "budget_exceeded", message, retry_after=retry)


def _named(budget: Budget) -> str:
    return f"Budget '{budget.id}' ({budget.term})"


def _standing(claim: Claim, spent: int) -> str:
    budget = claim.budget
    return f"allows {budget.shown(budget.most)}, {budget.bare(spent)} are taken, and this request may take {budget.bare(claim.amount)}"


def _advice(claim: Claim) -> str:
    """With the line that an operator can run as it stands."""
    less = "An" if claim.budget.of in STEPS else "Ask for less (fewer tokens of answer, a shorter prompt), or an"
    return f"{less} operator may raise it or reset it: tollhouse budgets reset {claim.budget.id} --subject={quote(claim.subject)}"


def _wait_us(budget: Budget, frees_us: int | None, now_us: int) -> int | None:
    if frees_us is not None:
        return max(frees_us - now_us, 0)
    if budget.window not in ("day", "month"):
        return None
    now = _moment(now_us)
    day = now.replace(hour=0, minute=0, second=0)
    ends = day + dt.timedelta(days=1) if budget.window == "day" else (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return int((ends - now).total_seconds() * 1_000_000)


async def _warn(visit: Visit, claims: Sequence[Claim], found: Outcome) -> None:
    for claim, spent in zip(claims, found.taking.spent, strict=True):
        budget = claim.budget
        if budget.action == "soft" and (spent + claim.amount > budget.most or spent >= budget.most > 0):
            first = await _is_first(visit, claim, found.now_us)
            code = "soft_limit_reached" if first else "soft_limit"
            taken = f"allows {budget.shown(budget.most)}, {budget.shown(spent)} were taken before"
            detail = f"{budget.term}: {taken}; subject '{claim.subject}'"
            visit.x.findings.append(Finding("budget", code, "warn", budget.id, detail))


async def _is_first(visit: Visit, claim: Claim, now_us: int) -> bool:
    """Once for a budget, a subject and a window, over all workers."""
    told = msgspec.structs.replace(claim.charge(visit.x.caller, now_us), what="told", amount=1, most=1)
    try:
        return bool((await visit.gateway.ask(visit.gateway.limits.take, [told], now_us)).taken)
    except GatewayError as error:
        log.error("nobody is told that budget %s is used up: %s", claim.budget.id, error.message)  # noqa: TRY400 - no traceback wanted
        return False


def unheard(visit: Visit) -> None:
    """Where nobody heard the answer to its end: what it took, about. What its provider told of it until then does not stand as if it were
    all. Before the end is recorded."""
    x, told = visit.x, visit.x.answer.usage
    request = x.request
    if request is None or request.background or request.operation not in COSTLY or not _broke_off(visit):
        return
    x.guess = _about(visit, x.answer)
    if told is not None:
        x.answer = msgspec.structs.replace(x.answer, usage=_so_far(told))


def fruitless(visit: Visit) -> None:
    """What the running answer took, which is given up for the one before it: what its provider told of it where that is all, or about."""
    x = visit.x
    answer = x.answer if visit.stream is None else visit.stream.answer
    whole = answer.usage is not None and (visit.stream is None or visit.finishing)
    if not whole:
        x.guess = _about(visit, answer)
    x.fruitless.append(answer.usage if whole or answer.usage is None else _so_far(answer.usage))


def _so_far(told: Usage) -> Usage:
    return msgspec.structs.replace(told, output=None, reasoning=None)


def _about(visit: Visit, answer: Answer) -> Guess:
    """What an answer took that nobody heard to its end."""
    x, latest = visit.x, visit.latest
    request = latest.request if latest is not None and x.earlier else x.request
    asked_us = latest.asked_us if latest is not None and x.earlier else visit.asked or 0
    if request is None:
        raise RuntimeError("an answer came before there was a request")
    reads, writes = visit.gateway.prices.bounds(visit.book.provider, x.upstream_model or request.model)
    calls = sum(len(call.name) + len(call.arguments) for call, _, _ in visit.round)
    seconds = (visit.gateway.clock.mono_us() - asked_us) / 1_000_000
    return guess(request, Heard(answer.usage, len(answer.text.encode("utf-8", "surrogatepass")) + calls, seconds), reads, writes)


def _broke_off(visit: Visit) -> bool:
    """A stream before its finish, or a request whose client left before anything came. Of what the provider itself never answered nobody
    knows what it did: that counts as the worst case."""
    x = visit.x
    if visit.asked is None or not visit.reached or visit.failed or x.cache == "hit" or visit.paid or (x.upstream_status or 0) >= 400:
        return False
    if x.error_code is None and x.state in ("complete", "denied"):
        return False
    if visit.stream is not None and x.first_byte_us is not None:
        unread = visit.undecodable is not None and visit.undecodable.code not in ("truncated", "provider_error")
        return not unread and (not visit.finishing or x.answer.usage is None)
    return x.answer.usage is None and x.state in ("client_gone", "interrupted")


async def settle(visit: Visit) -> None:
    """Puts what was used in the place of what was held. Shielded: a client that leaves must not leave its worst case behind. Once only."""
    held, visit.holding = [*visit.holdings, *([visit.holding] if visit.holding else [])], None
    visit.holdings = []
    if held:
        await asyncio.shield(_settle(visit, held))


async def settle_attempt(visit: Visit, *, charged: bool) -> None:
    """One that failed and is followed by another: what it held is given back, or where its provider may charge for it, taken for used."""
    held, visit.holding = visit.holding, None
    if held is not None:
        fixed = {"requests": 1, "calls": 0}
        used = [
            fixed.get(kind, taken.amount if charged else 0) for kind, (_, taken) in zip(held.kinds, held.taken, strict=True)
        ]
        await asyncio.shield(_settle_one(visit, held, used))


async def settle_beside(visit: Visit, held: Holding, usage: Usage | None, cost: Decimal | None, *, charged: bool) -> None:
    """What a request beside the visit's own took. Where that is not known, what it held, unless nothing is charged for it."""
    known = {"requests": 1, "calls": 0, "tokens": _tokens(usage), "money": None if cost is None else min(nano(cost), LARGEST)}
    used = [
        count if (count := known[kind]) is not None else taken.amount if charged else 0
        for kind, (_, taken) in zip(held.kinds, held.taken, strict=True)
    ]
    await asyncio.shield(_settle_one(visit, held, used))


async def _settle(visit: Visit, held: Sequence[Holding]) -> None:
    for each in held:
        used = [_used(visit, kind, taken.amount, each.round) for kind, (_, taken) in zip(each.kinds, each.taken, strict=True)]
        await _settle_one(visit, each, used)


async def _settle_one(visit: Visit, held: Holding, used: Sequence[int]) -> None:
    gateway = visit.gateway
    try:
        await gateway.ask(_settled, gateway.limits, held, used)
    except GatewayError as error:
        log.error("exchange %s keeps what it held of budgets until its lease ends: %s", visit.x.id, error.message)  # noqa: TRY400
    finally:
        gateway.leases.drop(held.lease)


def _settled(limits: Limits, held: Holding, used: Sequence[int]) -> None:
    limits.settle(held.lease, held.taken, used, limits.steady_us())


def _used(visit: Visit, kind: str, held: int, at: int) -> int:
    """Of the question number `at`."""
    x = visit.x
    if visit.asked is None:
        return 0
    if kind == "requests":
        return 1
    if kind == "calls":
        return len(x.calls) if at == 0 else 0
    known = _known(visit, kind, at)
    return held if known is None else known


def _known(visit: Visit, kind: str, at: int) -> int | None:
    x, priced = visit.x, visit.book.priced
    rounds = x.rounds or (x.answer.usage,)
    if at >= len(rounds) or (at == 0 and _cost_nothing(visit)):
        return 0
    guessed = x.guess if at == len(rounds) - 1 else None
    if kind == "tokens":
        return _tokens(rounds[at] if guessed is None else guessed.usage)
    amount = priced.guessed if guessed is not None else priced.each[at] if priced.each else None
    return None if amount is None else min(nano(amount), LARGEST)


def _cost_nothing(visit: Visit) -> bool:
    """The first question, where it never reached its provider or was refused by it."""
    x = visit.x
    if x.earlier:
        return False
    return not visit.reached or (x.answer.usage is None and (x.error_code == "upstream_unreachable" or (x.upstream_status or 0) >= 400))


def _tokens(usage: Usage | None) -> int | None:
    if usage is None or usage.input is None or usage.output is None or not TOKENS_BESIDE.isdisjoint(usage.fees):
        return None
    return sum(getattr(usage, name) or 0 for name in TOKENS)
