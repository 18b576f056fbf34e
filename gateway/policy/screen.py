"""What the rules of one hook say of texts: what they find in them, and the texts as they may be passed on.

For the hooks where nothing is proposed but said: `output`, `request`, `tool_result`. A `Screen` is made for one exchange (and at
`tool_result` one tool); it knows the caller and what conditions see, and is asked about one text after the other.

1. Nothing here raises. A detector that fails has hit the whole text, with its effect raised to `deny` (there is nothing to take out);
   a condition that fails has hit. `on_error: ignore` makes of either a hit without effect.
2. Every hit is told, those of shadow rules too; only hits in mode `enforce` change a text or refuse it.
3. What begins where in a text is told by `look_back` characters to either side of that place, so that a stream can be looked through in
   pieces (`textwindow`): a hit that goes on to the end of the text so far may go on, any other ends where it does. A hit without a detector
   is about the text as such.
4. What is taken out is replaced by the detector's name in brackets. Hits that overlap are taken out together, under the name of the first.
5. A validator is asked where the rule's condition holds. At `output` one that must see all of an answer is asked once, when it has ended
   (`answered`), about what the model said; the others look at every text, as detectors do. `ran` says which were asked, and what came of
   it: what failed, or could not tell, is `unevaluated` and a hit, and never passed.
6. Texts beside what is said (titles, names, thoughts) are asked about what a rule looks for, not about a form: `require: text.contains(…)`
   is no demand on the title of a source. A rule asks for a form where it hits a text without words, too.

Where the texts stand (in a request's body, in a stream's events) is for those who know dialects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from gateway.exchange import Caller
from gateway.policy.expressions import CannotTell, Condition, Size, activation
from gateway.policy.hooks import SEES
from gateway.policy.looked import Looked, without
from gateway.policy.policy_set import RANK, Guard, PolicySet, Watch, Watches
from gateway.policy.provenance import NOTHING, Conversation, View, looking_at, object_of
from gateway.policy.running import Running
from gateway.policy.scene import bystanders, holds_zero, widest
from gateway.policy.wording import filled, one_line
from gateway.strict_json import Json
from gateway.validators.use import Said, Use, drawn
from gateway.validators.validator import Seen, Subject
from gateway.verdict import Action, Effect, Finding, Hook, OnDeny, Ran, RuleHit, Verdict

_OF_THE_TEXT: Final = frozenset({"text", "result"})
"""Variables that are another with each text."""
_SAID_AGAIN: Final[frozenset[Hook]] = frozenset({"request", "tool_result"})
"""Hooks whose texts come again with the next request."""


class Sight(Struct, frozen=True):
    """What conditions see beside the text."""

    caller: Caller
    dialect: str = ""
    model: str = ""
    session: Mapping[str, Any] = field(default_factory=dict)
    """As in `Facts`."""
    conversation: Conversation = NOTHING
    request: Mapping[str, Json] = field(default_factory=dict)
    """At `request`: what is asked of the provider."""
    call_id: str = ""
    tool: str | None = None
    """At `tool_result`: whose result the text is. None: nobody knows, so that the rules of every tool are asked."""
    now_us: int = 0
    exchange: str = ""
    """Its id, by which rules with `sample` are drawn."""
    prompt: str = ""
    """At `output`: hash of the prompt version."""
    about: Callable[[], Subject] = Subject
    """What validators know beside the text."""


class Hit(Struct, frozen=True):
    """A rule that has something to say of a text."""

    start: int
    end: int
    """Characters of the text, the one behind the last; a rule without detectors hits all of it."""
    detector: str
    """Empty where no detector speaks."""
    policy: str
    rule: str
    effect: Effect
    mode: Literal["enforce", "shadow"]
    error: bool = False
    message: str = ""
    line: int = 0
    on_deny: OnDeny = "explain"
    seen: Seen | None = None
    """What a validator said."""
    version: str = ""
    """Of the validator."""
    whole: bool = True
    """About the text as such, not about a place in it."""
    rounds: int = 0
    """How often the model may be asked to write the answer anew."""

    @property
    def counts(self) -> bool:
        return self.mode == "enforce"

    def finding(self, path: str, action: Action, span_hash: str = "") -> Finding | None:
        """What a validator said, for the record; None where none did."""
        if not self.version:
            return None
        seen = self.seen or Seen("unevaluated", self.message)
        where, said = f"{path}.{seen.path}" if seen.path else path, one_line(seen.detail, 300)
        by = (self.version, self.policy, self.rule, span_hash, seen.score)
        return Finding(self.detector, seen.code, seen.severity, where, said, action, *by)

    def rule_hit(self) -> RuleHit:
        return RuleHit(self.policy, self.rule, self.effect, self.mode, self.error, self.message, self.line)


class Screen:
    """The rules of one agent at one hook."""

    def __init__(self, hook: Hook, watches: Watches, sight: Sight) -> None:
        self.hook: Hook = hook
        self._watches, self._sight = watches, sight
        self._asked = tuple(watch for watch in watches.guards if _concerns(watch, sight.tool))
        self._constant: dict[int, bool | CannotTell] = {}
        """What conditions say that do not look at the text, by their place among those asked."""
        self._running = Running(hook)
        self._forms: dict[int, bool] = {}
        self._wanting: dict[int, frozenset[str]] = {}
        """What asks for a form: conditions by their place, validators by their use's identity."""

    @property
    def idle(self) -> bool:
        """No rule here speaks about this agent: texts need not be looked at."""
        return not self._asked

    @property
    def acts(self) -> bool:
        """A rule in force can change a text or refuse it."""
        return any(watch.mode == "enforce" and watch.guard.effect in ("deny", "redact", "repair") for watch in self._asked)

    @property
    def looks_at_end(self) -> bool:
        """A validator must see all of an answer."""
        return any(self._late(watch.guard) for watch in self._asked)

    @property
    def decides_at_end(self) -> bool:
        """A rule in force can withhold an answer for what is seen only when it has ended."""
        return any(w.mode == "enforce" and w.guard.effect in ("deny", "repair") and self._late(w.guard) for w in self._asked)

    @property
    def buffers(self) -> bool:
        """A rule wants an answer to be whole before it looks at it."""
        return any(watch.guard.buffers and not self._only_late(watch.guard) for watch in self._asked)

    @property
    def heard(self) -> bool:
        """Whether whatever looks at every text has looked at one."""
        searched = all(map(self._running.searched, self._asked))
        return searched and all(self._running.has(watch, use) for watch in self._asked for use in self._early(watch.guard))

    def is_late(self, row: Ran) -> bool:
        """Whether what the row is about was asked when the answer had ended."""
        guards = [w.guard for w in self._asked if (w.layer.policy, w.guard.id) == (row.policy, row.rule)]
        return any(use.name == row.validator for guard in guards for use in self._late(guard))

    @property
    def ran(self) -> Sequence[Ran]:
        """Which validators were asked so far."""
        return self._running.rows()

    @cached_property
    def look_back(self) -> int:
        """Whether something begins at a place is told by so many characters to either side of it."""
        detectors = [one.longest for watch in self._asked for one in watch.guard.detectors]
        validators = [use.validator.look_back for watch in self._asked for use in self._early(watch.guard)]
        return max((*detectors, *validators), default=0)

    def find(self, text: str, *, beside: bool = False) -> list[Hit]:
        """All hits in the text, those that begin first before the others, of those the longest first. `beside`: it stands beside what is
        said."""
        hits: list[Hit] = []
        with looking_at(View(self._sight.conversation, self._watches.labels)):
            again = self.hook in _SAID_AGAIN
            looked = Looked(text, self._watches.memory if again else None, whole=again)
            for place, watch in enumerate(self._asked):
                found = [] if beside and self._asks_for_form(place, watch) else list(self._hits(place, watch, looked))
                if watch.guard.detectors and not again:
                    self._running.found(watch, Counter(hit.detector for hit in found), failed=any(hit.error for hit in found))
                hits += found
                if watch.guard.uses:
                    uses = [use for use in self._early(watch.guard) if not beside or use.validator.looks_for]
                    hits += self._seen_by(place, watch, looked, self._about, uses, beside=beside)
        return sorted(hits, key=lambda hit: (hit.start, -hit.end, -RANK[hit.effect]))

    def answered(self, about: Subject) -> list[Hit]:
        """What those say that must see all of an answer; `about` is the answer when it has ended."""
        hits: list[Hit] = []
        with looking_at(View(self._sight.conversation, self._watches.labels)):
            looked = Looked(about.text)
            for place, watch in enumerate(self._asked):
                hits += self._seen_by(place, watch, looked, about, self._late(watch.guard))
        return hits

    def unheard(self, why: str) -> list[Hit]:
        """The same where nobody knows what the answer was: those have not passed."""
        late = [(watch, use) for watch in self._asked for use in self._late(watch.guard)]
        return [self._told(watch, use, Said(problem=why), Looked("")) for watch, use in late]

    def concerned(self, text: str) -> Iterator[tuple[Watch, bool, str]]:
        """Of the rules, those whose conditions hold for an answer that has left: each with whether it was drawn, and why nobody knows that
        it holds (empty where somebody does)."""
        with looking_at(View(self._sight.conversation, self._watches.labels)):
            looked = Looked(text)
            for place, watch in enumerate(self._asked):
                guard = watch.guard
                if guard.sample is not None and not drawn(guard.sample, self._sight.exchange, guard.id):
                    yield watch, False, ""
                    continue
                try:
                    if self._holds(place, watch, looked):
                        yield watch, True, ""
                except CannotTell as error:
                    yield watch, True, str(error) or "its condition cannot be evaluated"

    def redacted(self, text: str, hits: Iterable[Hit]) -> str:
        """The text without what hits of effect `redact` found in it."""
        return without(text, ((hit.start, hit.end, hit.detector) for hit in hits if hit.counts and hit.effect == "redact"))

    def verdict(self, hits: Sequence[Hit]) -> Verdict:
        """What the hits come to: `released` unless one denies."""
        counting = [hit for hit in hits if hit.counts]
        deciding = _heaviest(counting)
        heaviest = _heaviest(hits)
        effect: Effect = deciding.effect if deciding else "allow"
        wanted: Effect = heaviest.effect if heaviest else "allow"
        would = wanted if RANK[wanted] > RANK[effect] else None
        said = tuple(dict.fromkeys(hit.rule_hit() for hit in hits))
        if deciding is None or effect == "allow":
            return Verdict("allow", True, "shadow" if would else "passed", "No rule in force speaks against it.", said, would)
        return Verdict(
            effect=effect,
            released=effect not in ("deny", "repair"),
            code="policy_error" if deciding.error else "rule",
            reason=_reason(deciding, self.hook),
            hits=said,
            would=would,
            policy=deciding.policy,
            rule=deciding.rule,
            on_deny=deciding.on_deny,
        )

    def seen(self, text: str) -> dict[str, Any]:
        """What conditions see with this text, but for the values of files."""
        found = self._visible(Looked(text))
        return {name: found[name] for name in SEES[self.hook] if name in found}

    # -- one rule ------------------------------------------------------------------------------------------

    def _hits(self, place: int, watch: Watch, looked: Looked) -> Iterator[Hit]:
        guard = watch.guard
        if guard.uses and not guard.detectors:
            return
        try:
            spans = list(looked.spans(guard.detectors)) if guard.detectors else [(0, len(looked.text), "")]
        except Exception as error:  # noqa: BLE001 - whatever fails while looking, the text is not passed on
            said = f"the text could not be searched ({type(error).__name__})"
            yield self._failed(watch, looked, said, "allow" if guard.ignore_errors else "deny")
            return
        if not spans:
            return
        try:
            if not self._holds(place, watch, looked):
                return
        except CannotTell as error:
            if guard.ignore_errors and not isinstance(error, _CutShort):
                yield self._failed(watch, looked, str(error), "allow")
            else:
                yield from (self._hit(watch, span, message=_unknown(watch, str(error)), error=True) for span in spans)
            return
        message = filled(guard.message, self._variables(watch, looked)) if guard.message else ""
        yield from (self._hit(watch, span, message=message) for span in spans)

    def _hit(self, watch: Watch, span: tuple[int, int, str], *, message: str, error: bool = False) -> Hit:
        layer, guard, mode = watch
        on_deny = self._watches.on_deny.get((layer.policy, guard.id), "explain")
        whole = not span[2]
        return Hit(*span, layer.policy, guard.id, guard.effect, mode, error, message, guard.line, on_deny, whole=whole, rounds=guard.rounds)

    def _asks_for_form(self, place: int, watch: Watch) -> bool:
        """Whether a text beside what is said is nothing to the rule. Where there are always words, they were asked about what does not
        depend on the text."""
        guard = watch.guard
        if guard.detectors:
            return False
        if not _reads_text(guard.condition):
            return self.hook in _SAID_AGAIN
        if place not in self._forms:
            self._forms[place] = self._hits_nothing(watch)
        return self._forms[place]

    def _hits_nothing(self, watch: Watch) -> bool:
        """A condition that cannot be told of a text without words is asked about each, but for one about the object that a result is."""
        condition = watch.guard.condition
        try:
            return condition is not None and self._evaluated(condition, watch, Looked(""))
        except CannotTell:
            return condition is not None and any(path[0] == "result" for _, path in condition.names)

    def _form_of(self, use: Use) -> frozenset[str]:
        """What the validator also says of a text without words: that is no fault of one beside what is said."""
        if id(use) not in self._wanting:
            self._wanting[id(use)] = frozenset(one.code for one in use.look(self._subject(self._about, Looked(""))).hits)
        return self._wanting[id(use)]

    def _failed(self, watch: Watch, looked: Looked, said: str, effect: Effect) -> Hit:
        hit = self._hit(watch, (0, len(looked.text), ""), error=True, message=_unknown(watch, said))
        return msgspec.structs.replace(hit, effect=effect)

    # -- validators ----------------------------------------------------------------------------------------

    def _early(self, guard: Guard) -> Sequence[Use]:
        """Those that look at every text."""
        if self.hook != "output":
            return guard.uses
        return [use for use in guard.uses if not _must_see_all(guard, use)]

    def _late(self, guard: Guard) -> Sequence[Use]:
        """Those that look at an answer that has ended."""
        return [use for use in guard.uses if _must_see_all(guard, use)] if self.hook == "output" else ()

    def _only_late(self, guard: Guard) -> bool:
        return bool(guard.uses) and not guard.detectors and not self._early(guard)

    def _seen_by(
        self, place: int, watch: Watch, looked: Looked, about: Subject, uses: Sequence[Use], *, beside: bool = False
    ) -> Iterator[Hit]:
        guard = watch.guard
        if not uses:
            return
        if guard.sample is not None and not drawn(guard.sample, self._sight.exchange, guard.id):
            self._running.not_drawn(watch)
            return
        try:
            holds = self._holds(place, watch, looked)
        except CannotTell as error:
            yield from (self._told(watch, use, Said(problem=str(error)), looked, cut=isinstance(error, _CutShort)) for use in uses)
            return
        if not holds:
            return
        subject = self._subject(about, looked)
        for use in uses:
            said = use.look(subject)
            if said.problem:
                yield self._told(watch, use, said, looked)
            else:
                self._running.looked(watch, use, said)
                of_form = self._form_of(use) if beside and said.hits else frozenset()
                yield from (self._saw(watch, use, one, looked) for one in said.hits if one.code not in of_form)

    def _subject(self, about: Subject, looked: Looked) -> Subject:
        return msgspec.structs.replace(about, text=looked.text, hook=self.hook, now_us=self._sight.now_us)

    @cached_property
    def _about(self) -> Subject:
        return self._sight.about()

    def _told(self, watch: Watch, use: Use, said: Said, looked: Looked, *, cut: bool = False) -> Hit:
        """A validator that could not tell: there is nothing to take out, and nothing to write anew."""
        self._running.looked(watch, use, said)
        guard = watch.guard
        effect: Effect = "deny" if guard.effect in ("redact", "repair") else guard.effect
        message = _unknown(watch, said.problem)
        hit = self._hit(watch, (0, len(looked.text), use.name), message=message, error=True)
        ignored = guard.ignore_errors and not cut
        return msgspec.structs.replace(hit, effect="allow" if ignored else effect, version=use.validator.version, whole=True)

    def _saw(self, watch: Watch, use: Use, seen: Seen, looked: Looked) -> Hit:
        guard = watch.guard
        placed = use.validator.spans and seen.end > seen.start
        span = (seen.start, seen.end) if placed else (0, len(looked.text))
        message = filled(guard.message, self._variables(watch, looked)) if guard.message else ""
        hit = self._hit(watch, (*span, use.name), message=message)
        effect: Effect = "deny" if guard.effect == "redact" and not placed else guard.effect
        return msgspec.structs.replace(hit, effect=effect, seen=seen, version=use.validator.version, whole=not placed)

    def _holds(self, place: int, watch: Watch, looked: Looked) -> bool:
        """Whether the rule's condition is fulfilled, in the rule's own sense of it."""
        condition = watch.guard.condition
        if condition is None:
            return True
        if _reads_text(condition):
            return self._evaluated(condition, watch, looked)
        if place not in self._constant:
            try:
                self._constant[place] = self._evaluated(condition, watch, looked)
            except CannotTell as error:
                self._constant[place] = error
        known = self._constant[place]
        if isinstance(known, CannotTell):
            raise known
        return known

    def _evaluated(self, condition: Condition, watch: Watch, looked: Looked) -> bool:
        layer = watch.layer
        variables = self._variables(watch, looked)
        if holds_zero({name: value for name, value in variables.items() if name not in ("vars", "now")}):
            raise _CutShort("a text holds a zero character, behind which conditions see nothing")
        size = Size(max(len(looked.text), layer.size.text), max(widest(variables["result"]), layer.size.items))
        if condition.remembers:
            calls, told = self._sight.conversation.most
            size = size._replace(calls=calls, told=told)
        return condition.holds(activation(variables), size) is watch.guard.hits_when

    def _variables(self, watch: Watch, looked: Looked) -> dict[str, Any]:
        return {**self._visible(looked), "vars": watch.layer.vars}

    def _visible(self, looked: Looked) -> dict[str, Any]:
        seen = self._seen
        result = _object(looked.text) if self.hook == "tool_result" else {}
        return {**seen, "text": looked.text, "result": result, "prompt": {"hash": self._sight.prompt}}

    @cached_property
    def _seen(self) -> dict[str, Any]:
        """What is the same for every text."""
        sight = self._sight
        call = {"id": sight.call_id, "name": sight.tool or "", "dialect": sight.dialect}
        return {"request": sight.request, "call": call, **bystanders(sight.caller, sight.session, sight.model, sight.now_us)}


class _CutShort(CannotTell):
    """What no file may ignore: the condition saw only a part."""


def screen(policies: PolicySet, hook: Hook, sight: Sight) -> Screen:
    """What the policies say of texts at a hook. While nothing is judged (no policies), the screen is idle."""
    return Screen(hook, policies.watches(sight.caller.agent, hook), sight)


def _object(text: str) -> dict[str, Json]:
    """A tool's result as conditions see it."""
    if "\\u0000" in text:
        raise _CutShort("a text holds a zero character, behind which conditions see nothing")
    return object_of(text)


def _must_see_all(guard: Guard, use: Use) -> bool:
    """Whether a validator is asked about an answer that has ended. An answer is written anew only for what was seen in all of it."""
    if guard.effect == "repair":
        return True
    return not use.validator.pieces and not (use.validator.spans and guard.effect == "redact")


def _reads_text(condition: Condition | None) -> bool:
    return condition is not None and any(path[0] in _OF_THE_TEXT for _, path in condition.names)


def _concerns(watch: Watch, tool: str | None) -> bool:
    return tool is None or watch.guard.concerns(tool)


def _heaviest(hits: Iterable[Hit]) -> Hit | None:
    """The most restrictive; of equals one that was evaluated before one that failed."""
    return max(hits, key=lambda hit: (RANK[hit.effect], not hit.error), default=None)


_SUBJECTS: Final[Mapping[Hook, str]] = {
    "output": "this answer",
    "request": "this request",
    "tool_result": "this result of a tool",
    "tool_call": "this call",
}
_VERBS: Final[Mapping[Effect, str]] = {
    "deny": "forbids",
    "repair": "wants another one in the place of",
    "redact": "takes something out of",
    "warn": "warns about",
}


def _reason(hit: Hit, hook: Hook) -> str:
    if hit.message:
        return hit.message if hit.message.endswith((".", "!", "?", "…")) else f"{hit.message}."
    found = f" ({hit.detector} found)" if hit.detector else ""
    if hit.seen is not None and hit.seen.detail:
        found = f" ({hit.detector}: {one_line(hit.seen.detail, 200)})"
    return f"Rule {hit.rule} of policy {hit.policy} {_VERBS[hit.effect]} {_SUBJECTS[hook]}{found}."


def _unknown(watch: Watch, said: str) -> str:
    return one_line(f"Rule {watch.guard.id} could not be evaluated: {said}", 200)
