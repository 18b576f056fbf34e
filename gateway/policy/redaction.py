"""A call with something taken out of its arguments: the last word over a call, also where a rule says `effect: redact`.

1. The call is judged as proposed. If all that keeps it from passing is that something must come out, or that a person must say yes to it,
   what the detectors of the redacting rules find in its texts is replaced by their names in brackets.
2. What is left is judged again, as another call, and counts for limits only then. Who is asked sees the redacted call.
3. What cannot be taken out denies: in a field's name, in a number, in a form of call whose arguments cannot be written anew, or where the
   rule still hits afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.functions import texts_of
from gateway.policy.looked import Looked, without
from gateway.policy.policy_set import RANK, PolicySet
from gateway.strict_json import Json
from gateway.validators.detectors import Detector, under
from gateway.verdict import Call, RuleHit, Verdict


class Decided(NamedTuple):
    """A verdict, and the call that it is about: the one to be delivered where it is released."""

    verdict: Verdict
    call: Call


class NotRedactable(Exception):  # noqa: N818 - an outcome that denies
    """Why nothing can be taken out of this call."""


Rewrite = Callable[[Call, Mapping[str, Json]], Call]
"""The call with other arguments. Raises NotRedactable."""


def written_anew(call: Call, args: Mapping[str, Json]) -> Call:
    return msgspec.structs.replace(call, args=args, arguments=msgspec.json.encode(args).decode())


def decide(policies: PolicySet, facts: Facts, rewrite: Rewrite = written_anew) -> Decided:
    """Never raises."""
    verdict = evaluate(policies, facts)
    taking = [hit for hit in verdict.hits if _takes_out(hit)]
    if not taking or verdict.effect not in ("redact", "ask"):
        return Decided(verdict, facts.call)
    try:
        return _judged_without(policies, facts, verdict, taking, rewrite)
    except NotRedactable as error:
        return Decided(_denied(verdict, taking, "not_redactable", str(error)), facts.call)
    except Exception as error:  # noqa: BLE001 - whatever fails while taking something out, the call must not pass with it
        return Decided(_denied(verdict, taking, "policy_error", f"that failed ({type(error).__name__})"), facts.call)


def _takes_out(hit: RuleHit) -> bool:
    return hit.mode == "enforce" and hit.effect == "redact"


def _judged_without(policies: PolicySet, facts: Facts, first: Verdict, taking: Sequence[RuleHit], rewrite: Rewrite) -> Decided:
    named = {(hit.policy, hit.rule) for hit in taking}
    guards = policies.plan(facts.caller.agent, facts.call.name).guards
    detectors = [one for layer, guard, _ in guards if (layer.policy, guard.id) in named for one in guard.detectors]
    call = rewrite(facts.call, _clean(facts.call.args, detectors))
    verdict = evaluate(policies, msgspec.structs.replace(facts, call=call))
    if any(map(_takes_out, verdict.hits)):
        raise NotRedactable("the rule hits what is left, too")
    hits = tuple(dict.fromkeys((*taking, *verdict.hits)))
    if not verdict.released:
        return Decided(msgspec.structs.replace(verdict, hits=hits), call)
    by = max(taking, key=lambda hit: not hit.error)
    said = by.message or f"Rule {by.rule} of policy {by.policy} took something out of this call."
    would = verdict.would if verdict.would and RANK[verdict.would] > RANK["redact"] else None
    told = {"reason": said, "hits": hits, "policy": by.policy, "rule": by.rule, "would": would}
    return Decided(msgspec.structs.replace(verdict, effect="redact", code="redacted", **told), call)


def _denied(verdict: Verdict, taking: Sequence[RuleHit], code: str, why: str) -> Verdict:
    by = taking[0]
    said = f"Rule {by.rule} of policy {by.policy} takes something out of this call, but {why}, so the call is denied."
    return msgspec.structs.replace(verdict, effect="deny", released=False, code=code, reason=said, policy=by.policy, rule=by.rule)


_DEEPEST: Final = 128


def _clean(value: Json, detectors: Sequence[Detector], depth: int = 0, name: str = "") -> Json:
    """`name`: under which it stands."""
    if depth > _DEEPEST:
        raise NotRedactable("it is nested too deeply")
    if isinstance(value, str):
        return without(value, [*Looked(value).spans(detectors), *_called(name, value, detectors)])
    if isinstance(value, Mapping):
        return {key: _clean(each, detectors, depth + 1, key) for key, each in _with_clean_keys(value, detectors)}
    if isinstance(value, (list, tuple)):
        return [_clean(each, detectors, depth + 1, name) for each in value]
    if any(_finds(text, detectors) for text in texts_of(value)):
        raise NotRedactable("it stands in a number")
    return value


def _called(name: str, value: str, detectors: Sequence[Detector]) -> Iterator[tuple[int, int, str]]:
    """What is found in a value only because of its name."""
    if (found := under(name, value)) is None:
        return
    text, at = found
    yield from ((max(0, start - at), end - at, which) for start, end, which in Looked(text).spans(detectors) if end > at)


def _with_clean_keys(value: Mapping[str, Json], detectors: Sequence[Detector]) -> Iterator[tuple[str, Json]]:
    for key, each in value.items():
        if _finds(key, detectors):
            raise NotRedactable("it stands in the name of a field")
        yield key, each


def _finds(text: str, detectors: Sequence[Detector]) -> bool:
    return next(Looked(text).spans(detectors), None) is not None
