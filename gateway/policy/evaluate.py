"""One call against all policies: the verdict.

1. Nothing here raises. What goes wrong while judging is itself a verdict: deny.
2. Every hit is recorded. The most restrictive one decides: deny > ask > redact > warn > allow. There is no
   order and no rule that overrides another; between equals the first guard that could be evaluated is
   named.
3. A guard whose condition cannot be evaluated has hit, unless its file says `on_error: ignore`. A condition that
   could see only a part of a text (`Scope.cut_short`) has hit whatever the file says. A detector that fails has hit, and denies.
   A validator that fails or cannot tell has hit as well, unless `on_error: ignore`, and is on record as `unevaluated`.
4. Shadow hits never change what is released; `would` says what they would have come to.
5. Limits are asked last, because what no rule withholds takes from them (`limits`).
6. A call without one reading (`call.problem`, `call.args` None) is denied like by a guard of every policy.

Pure: time and what limits have counted come in with the facts, and the same facts give the same verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from gateway.exchange import Caller
from gateway.policy.expressions import MAX_COST, CannotTell, Condition, Size, activation
from gateway.policy.functions import texts_of
from gateway.policy.limits import Meter, NoMeter, refusals
from gateway.policy.looked import Looked
from gateway.policy.policy_set import RANK, Guard, Layer, Plan, PolicySet, Watch
from gateway.policy.provenance import NOTHING, Conversation, View, looking_at
from gateway.policy.running import Running, findings
from gateway.policy.scene import bystanders, holds_zero, widest
from gateway.policy.wording import clean_name, filled, one_line
from gateway.request import Pin
from gateway.validators.detectors import Detector
from gateway.validators.use import Said, Use, drawn
from gateway.validators.validator import Subject
from gateway.verdict import Action, Call, Effect, Finding, RuleHit, Verdict


class Facts(Struct, frozen=True):
    """Everything a verdict may depend on besides the policies."""

    call: Call
    caller: Caller
    dialect: str
    model: str
    schema_hash: str | None = None
    """Hash of the argument schema that the request declared for the tool."""
    pin: Pin | None = None
    """How the tool's declaration compares with the approved one; None where none is."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """`id`, `source`, `messages` and `calls` (counts so far), `tools` (names called before)."""
    conversation: Conversation = NOTHING
    """What was said before the call."""
    now_us: int = 0
    approved: bool = False
    """A person has approved the call: what only asks does not keep it from passing, and it takes what limits count."""
    meter: Meter = field(default_factory=NoMeter)
    """Who counts for limits."""
    exchange: str = ""
    """Its id, by which rules with `sample` are drawn."""
    about: Callable[[], Subject] = Subject
    """What validators know beside the arguments."""


def evaluate(policies: PolicySet, facts: Facts) -> Verdict:
    """Never raises."""
    try:
        return _judged(policies, facts)
    except Exception as error:  # noqa: BLE001 - whatever fails while judging, the call must not pass
        said = f"The policy could not be evaluated ({type(error).__name__}), so the call is denied."
        return Verdict("deny", False, "policy_error", said)


def _judged(policies: PolicySet, facts: Facts) -> Verdict:
    if policies.observing:
        return Verdict("unevaluated", True, "no_policy", "No policy is loaded; calls are recorded, not judged.")
    agent, call = facts.caller.agent, facts.call
    if not policies.covers(agent):
        said = f"No policy covers {_quoted('agent', agent)}; add the agent to the 'agents:' of a policy."
        return Verdict("deny", False, "no_policy_for_agent", said)
    if call.problem is not None or call.args is None:
        return _unreadable(call, policies.enforces(agent))
    plan = policies.plan(agent, call.name)
    with looking_at(View(facts.conversation, plan.labels)):
        scope = Scope(facts)
        hits = [*plan.hits, *_guard_hits(plan, scope, _answers(policies, plan, scope))]
        if plan.caps:
            hits += _limit_hits(plan, scope, facts, passes=_passes(hits, facts.approved))
    verdict = _decided(hits, call, plan)
    if scope.running.asked:
        verdict = msgspec.structs.replace(verdict, findings=tuple(scope.findings), ran=tuple(scope.running.rows()))
    return verdict


def _unreadable(call: Call, enforcing: bool) -> Verdict:
    code = call.problem or "unreadable"
    said = one_line(f"The call cannot be read in exactly one way ({code}). {call.detail}")
    if enforcing:
        return Verdict("deny", False, code, said)
    return Verdict("allow", True, "shadow", said, would="deny")


class _Unsearched(CannotTell):
    """A detector failed: there is nothing to take out and nothing known, whatever the rule's effect."""


# -- what conditions see ----------------------------------------------------------------------------------


class Scope:
    """The variables of one evaluation; each layer adds its own vars. Built when a condition asks for them."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._activations: dict[str, Any] = {}
        self.running = Running("tool_call")
        self.findings: list[Finding] = []

    def activation(self, layer: Layer) -> Any:
        found = self._activations.get(layer.file)
        if found is None:
            found = self._activations[layer.file] = activation({**self.variables, "vars": layer.vars})
        return found

    def size(self, layer: Layer, condition: Condition) -> Size:
        own = Size(max(self._size.text, layer.size.text), max(self._size.items, layer.size.items))
        if not condition.remembers:
            return own
        calls, told = self.facts.conversation.most
        return own._replace(calls=calls, told=told)

    @cached_property
    def variables(self) -> dict[str, Any]:
        facts = self.facts
        call = facts.call
        return {
            "args": call.args,
            "call": {
                "id": call.id,
                "name": call.name,
                "type": call.type,
                "index": call.index,
                "dialect": facts.dialect,
                "schema_hash": facts.schema_hash,
                "pin": facts.pin,
            },
            **bystanders(facts.caller, facts.session, facts.model, facts.now_us),
        }

    def finds(self, detectors: Sequence[Detector]) -> bool:
        """Whether one of them finds something in the arguments, keys and numbers included."""
        try:
            return any(True for text in self._texts for _ in text.spans(detectors))
        except Exception as error:  # noqa: BLE001 - whatever fails while looking, nobody knows what is there
            raise _Unsearched(f"the arguments could not be searched ({type(error).__name__})") from None

    @cached_property
    def about(self) -> Subject:
        return msgspec.structs.replace(self.facts.about(), now_us=self.facts.now_us)

    def tell(self, watch: Watch, use: Use, said: Said) -> None:
        """Puts on record what a validator said of the call."""
        self.running.looked(watch, use, said)
        action: Action = "denied" if watch.guard.effect == "deny" and watch.mode == "enforce" else "none"
        self.findings += findings(watch, use, said, f"calls[{self.facts.call.index}]", action)

    @cached_property
    def _texts(self) -> list[Looked]:
        return [Looked(text) for text in texts_of(self.facts.call.args)]

    @cached_property
    def cut_short(self) -> bool:
        """Whether a text would reach conditions only in part: the engine's texts end at a zero character, the tool's do not."""
        return holds_zero(self.variables)

    @cached_property
    def _size(self) -> Size:
        listed = max((len(v) for v in self.facts.session.values() if isinstance(v, (list, tuple))), default=0)
        return Size(len(self.facts.call.arguments), max(widest(self.facts.call.args), listed))


# -- guards -----------------------------------------------------------------------------------------------


def _answers(policies: PolicySet, plan: Plan, scope: Scope) -> dict[Condition, bool]:
    """What conditions say that can be asked together; every other one must be asked alone."""
    found: dict[Condition, bool] = {}
    for layer, conditions in plan.together if plan.together and not scope.cut_short else ():
        batch = policies.batch(conditions)
        if batch.cost(partial(scope.size, layer)) <= MAX_COST:
            found.update(zip(conditions, batch.answers(scope.activation(layer)) or (), strict=False))
    return found


def _guard_hits(plan: Plan, scope: Scope, answers: Mapping[Condition, bool]) -> Iterable[RuleHit]:
    for layer, guard, mode in plan.guards:
        answer = answers.get(guard.condition) if guard.condition else None
        try:
            hit = _has_hit(layer, guard, scope, answer)
        except CannotTell as error:
            ignored = guard.ignore_errors and not scope.cut_short
            effect: Effect = "allow" if ignored else "deny" if isinstance(error, _Unsearched) else guard.effect
            yield RuleHit(layer.policy, guard.id, effect, mode, True, _failed(guard, error), guard.line, guard.four_eyes)
            continue
        asked = list(_validated(Watch(layer, guard, mode), scope, answer)) if guard.uses else []
        yield from () if hit else asked
        if hit:
            said = _said(layer, guard.message, scope)
            yield RuleHit(layer.policy, guard.id, guard.effect, mode, False, said, guard.line, guard.four_eyes)


def _validated(watch: Watch, scope: Scope, answer: bool | None) -> Iterator[RuleHit]:
    """What the validators of a rule say of the call, once its condition holds."""
    layer, guard, mode = watch
    if guard.sample is not None and not drawn(guard.sample, scope.facts.exchange, guard.id):
        scope.running.not_drawn(watch)
        return
    try:
        if not _holds(layer, guard, scope, answer):
            return
        said = {use: use.look_at_call(scope.facts.call.args or {}, scope.facts.call.arguments, scope.about) for use in guard.uses}
        ignored = guard.ignore_errors
    except CannotTell as error:
        said, ignored = dict.fromkeys(guard.uses, Said(problem=str(error))), guard.ignore_errors and not scope.cut_short
    for use, each in said.items():
        scope.tell(watch, use, each)
    seen = [one_line(f"{use.name}: {one.detail or one.code}", 300) for use, each in said.items() for one in each.hits]
    failed = [each.problem for each in said.values() if each.problem]
    if seen:
        message = _said(layer, guard.message, scope) or seen[0]
        yield RuleHit(layer.policy, guard.id, guard.effect, mode, False, message, guard.line, guard.four_eyes)
    elif failed:
        effect: Effect = "allow" if ignored else guard.effect
        message = one_line(f"Rule {guard.id} could not be evaluated: {failed[0]}", 200)
        yield RuleHit(layer.policy, guard.id, effect, mode, True, message, guard.line, guard.four_eyes)


def _has_hit(layer: Layer, guard: Guard, scope: Scope, answer: bool | None) -> bool:
    """For its condition and its detectors; validators are asked apart."""
    if guard.uses and not guard.detectors:
        return False
    if guard.detectors and not scope.finds(guard.detectors):
        return False
    return _holds(layer, guard, scope, answer)


def _holds(layer: Layer, guard: Guard, scope: Scope, answer: bool | None) -> bool:
    if guard.condition is None:
        return True
    if answer is not None:
        return answer is guard.hits_when
    if scope.cut_short:
        raise CannotTell("a text holds a zero character, behind which conditions see nothing")
    return guard.condition.holds(scope.activation(layer), scope.size(layer, guard.condition)) is guard.hits_when


def _failed(guard: Guard, error: CannotTell) -> str:
    return one_line(f"The condition of rule {guard.id} could not be evaluated: {error}", 200)


def _said(layer: Layer, message: str | None, scope: Scope) -> str:
    if message is None:
        return ""
    return filled(message, {**scope.variables, "vars": layer.vars})


def _limit_hits(plan: Plan, scope: Scope, facts: Facts, *, passes: bool) -> Iterable[RuleHit]:
    layers = {entry: layer for layer, entry in plan.caps}
    asked = (tuple(layers), facts.call, facts.caller, facts.meter, facts.now_us)
    for refusal in refusals(*asked, passes=passes, approved=facts.approved):
        cap, layer = refusal.entry.cap, layers[refusal.entry]
        said = refusal.said if refusal.error else _said(layer, cap.message, scope) or refusal.said
        yield RuleHit(layer.policy, cap.id, refusal.effect, refusal.entry.mode, refusal.error, said, cap.line, cap.four_eyes)


def _passes(hits: Iterable[RuleHit], approved: bool) -> bool:
    most = RANK["ask" if approved else "warn"]
    return all(RANK[hit.effect] <= most and hit.effect != "redact" for hit in hits if hit.mode == "enforce")


# -- the decision -----------------------------------------------------------------------------------------

_CODES: Final[Mapping[str, str]] = {"allow": "granted", "ask": "ask"}
_ASKED: Final = "A person must approve this call."


def _decided(hits: list[RuleHit], call: Call, plan: Plan) -> Verdict:
    heaviest = _heaviest(hits)
    if not plan.enforces:
        would = heaviest.effect if heaviest.effect != "allow" else None
        said = "Only shadow policies apply: recorded, nothing withheld."
        return Verdict("allow", True, "shadow", said, tuple(hits), would, heaviest.policy, heaviest.rule)
    deciding = _heaviest(hit for hit in hits if hit.mode == "enforce")
    return Verdict(
        effect=deciding.effect,
        released=deciding.effect in ("allow", "warn"),
        code=_code(deciding),
        reason=_reason(deciding, call),
        hits=tuple(hits),
        would=heaviest.effect if RANK[heaviest.effect] > RANK[deciding.effect] else None,
        policy=deciding.policy,
        rule=deciding.rule,
        on_deny=plan.on_deny.get((deciding.policy, deciding.rule), "explain"),
    )


def _heaviest(hits: Iterable[RuleHit]) -> RuleHit:
    """The most restrictive; of equals one that was evaluated before one that failed, a guard before a
    default.
    """
    return max(hits, key=lambda hit: (RANK[hit.effect], not hit.error, hit.rule != "default"))


def _code(hit: RuleHit) -> str:
    if hit.error and hit.effect != "allow":
        return "policy_error"
    if hit.effect in _CODES:
        return "default" if hit.rule == "default" and hit.effect == "allow" else _CODES[hit.effect]
    return "not_granted" if hit.rule == "default" else "rule"


def _reason(hit: RuleHit, call: Call) -> str:
    if hit.effect == "allow":
        return f"Granted by policy {hit.policy}."
    subject = _quoted("tool", call.name)
    if hit.rule == "default":
        said = f"Policy {hit.policy} does not grant {subject}."
    elif hit.message:
        said = hit.message if hit.message.endswith((".", "!", "?", "…")) else f"{hit.message}."
    else:
        said = f"Rule {hit.rule} of policy {hit.policy} {_VERBS[hit.effect]} this call of {subject}."
    return f"{said} {_ASKED}" if hit.effect == "ask" else said


_VERBS: Final[Mapping[str, str]] = {
    "deny": "forbids",
    "ask": "wants a person to approve",
    "redact": "takes something out of",
    "warn": "warns about",
}


def _quoted(kind: str, name: str) -> str:
    return f'{kind} "{name}"' if clean_name(name) else f"a {kind} with an unusual name"
