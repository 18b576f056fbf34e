"""The rules of `at: output` over one answer: what they find is put on record, and the answer is cleaned or ends.

Made for an agent with such rules only. While a policy enforces, what it asks for is done; where it only observes, or where no rule in force
could change anything, the words are heard as they pass and no byte waits.

Validators that must see all of an answer look once, at what the model said, when it has ended (`ended`): of a stream before its first word
leaves where one of them could withhold it (`kept_back`), else behind its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from gateway.answer import Answer
from gateway.dialects.texts import Texts
from gateway.errors import GatewayError
from gateway.judge import Court, about
from gateway.policy.explain import withheld_text
from gateway.policy.screen import Hit, Screen, Sight, screen
from gateway.request import Request
from gateway.screening.streamed import UNREADABLE, Screening, Watching
from gateway.screening.whole import cleaned, looked_at
from gateway.validators.validator import Subject
from gateway.verdict import Done, Finding, Heard, Ran
from gateway.visit import Visit, Withheld

_WITHHOLDING = ("deny", "repair")
_MOST_HEARD = 200
"""Different values of one answer that are put on record."""


class OutputScreen:
    """A policy's screen in the form in which answers are looked at."""

    def __init__(self, rules: Screen, *, beside: bool = False) -> None:
        self._rules = rules
        self.look_back, self.buffers = rules.look_back, rules.buffers
        self.find, self.redacted = partial(rules.find, beside=beside), rules.redacted
        self.rewrites_signed = False

    @property
    def beside(self) -> OutputScreen:
        return OutputScreen(self._rules, beside=True)

    def stops(self, hit: Hit) -> bool:
        return hit.counts and hit.effect in _WITHHOLDING

    def replaces(self, hit: Hit) -> bool:
        return hit.counts and hit.effect == "redact"

    def waits(self, text: str) -> int | None:
        return None

    def everywhere(self, hit: Hit) -> bool:
        return hit.whole

    def moved(self, hit: Hit, start: int, end: int) -> Hit:
        return msgspec.structs.replace(hit, start=start, end=end)


class OutputRules:
    """What the rules say of the answers of one exchange."""

    def __init__(self, visit: Visit, request: Request, rules: Screen) -> None:
        self._visit, self._request, self._rules = visit, request, rules
        self._screen = OutputScreen(rules)
        self._noted: set[tuple[str, str, str, str]] = set()
        self._stage: Screening[Hit] | Watching[Hit] | None = None
        self._heard_all = self._ended = False
        self._before = True

    @property
    def acts(self) -> bool:
        """Whether a rule in force can change an answer."""
        return self._visit.x.enforcing and self._rules.acts

    @property
    def _texts(self) -> Texts:
        return self._visit.incoming.dialect.TEXTS

    @property
    def decides_at_end(self) -> bool:
        """Whether an answer may be withheld for what is seen only when it has ended."""
        return self.acts and self._rules.decides_at_end

    def streamed(self, condemned: Sequence[Hit] = ()) -> Screening[Hit] | Watching[Hit]:
        """`condemned`: those hits because of which nothing of it may be given."""
        texts = self._texts.streamed()
        if self.acts:
            self._stage = Screening(self._screen, texts, explain=self.explain, note=self.note, condemned=condemned)
        else:
            self._stage, self._before = Watching(self._screen, texts, note=self.note), False
        return self._stage

    def looked_at(self, body: bytes, answer: Answer, calls: int) -> tuple[Hit, ...]:
        """Those hits because of which an answer in one piece may not be given. Raises GatewayError('upstream') for one whose words do not
        stand where its dialect has them."""
        try:
            stopping = looked_at(body, self._texts, self._screen, self.note)
        except UNREADABLE:
            if self.acts:
                raise GatewayError("upstream", "protocol", "The provider's answer is not of the form that its dialect has.") from None
            return self.unreadable("the answer is not of the form that its dialect has")
        self._heard_all = True
        return (*(stopping if self.acts else ()), *self.ended(answer, calls))

    def ended(self, answer: Answer, calls: int) -> tuple[Hit, ...]:
        """What is seen only now that the answer is whole: those hits because of which it may not be given."""
        self._ended = True
        hits = self._rules.answered(self._all_of(answer, calls)) if self._rules.looks_at_end else ()
        return self._counting(hits, answer.text)

    def unreadable(self, why: str) -> tuple[Hit, ...]:
        """The same where the answer could not be read to its end."""
        self._ended = True
        return self._counting(self._rules.unheard(why))

    def _all_of(self, answer: Answer, calls: int) -> Subject:
        request, dialect = self._request, self._visit.incoming.dialect
        known = about(request, "output")
        schema = dialect.answer_schema(request)
        finish = " ".join(answer.finish)
        return msgspec.structs.replace(known, text=answer.text, finish=finish, calls=calls, answer_schema=schema, cut=answer.cut)

    def _counting(self, hits: Sequence[Hit], text: str = "") -> tuple[Hit, ...]:
        for hit in hits:
            self.note(hit, text[hit.start : hit.end])
        return tuple(hit for hit in hits if hit.counts and hit.effect in _WITHHOLDING) if self.acts else ()

    def finish(self, *, complete: bool) -> None:
        """Puts on record which validators looked. One that did not see all of the answer has not passed it."""
        x, stage, late = self._visit.x, self._stage, not self._ended
        self._stage = None  # it refers back
        before = not late or not self._visit.begun
        if late and complete:
            self.ended(x.answer, len(x.calls))
        elif late:
            self._rules.unheard("the answer did not end")
        cut = stage is not None and (bool(stage.denied) or (isinstance(stage, Watching) and stage.lost))
        if complete and not self._rules.heard:
            self._rules.find("")
        heard_all = self._heard_all or (complete and not cut)
        x.ran += [self._row(row, before=before, heard_all=heard_all) for row in self._rules.ran]

    def _row(self, row: Ran, *, before: bool, heard_all: bool) -> Ran:
        if self._rules.is_late(row):
            return msgspec.structs.replace(row, before=before)
        outcome = "unevaluated" if row.outcome == "passed" and not heard_all else row.outcome
        return msgspec.structs.replace(row, before=self._before, outcome=outcome)

    def cleaned(self, body: bytes, denied: Sequence[Hit]) -> bytes:
        """The answer in one piece as it may be sent; `denied`: why it may not be given."""
        if not self.acts:
            return body
        out = cleaned(body, self._texts, self._screen, self.explain, denied)
        if out.body != body:
            self._visit.x.answer = msgspec.structs.replace(self._visit.x.answer, text=out.text)
        return out.body

    def explain(self, hits: Sequence[Hit]) -> str:
        """What stands in the place of what is withheld: a line for the model and for people, a tail for machines."""
        visit = self._visit
        if visit.withheld is None:
            decision = visit.book.new_decision()
            visit.denied = visit.denied or decision
            visit.withheld = self._withheld(hits, decision)
            visit.x.findings.append(visit.withheld.finding)
        return visit.withheld.text

    def _withheld(self, hits: Sequence[Hit], decision: str) -> Withheld:
        """The model may write the answer anew where nothing but that is asked for."""
        anew = all(hit.effect == "repair" for hit in hits)
        heaviest = hits if anew else [hit for hit in hits if hit.effect != "repair"]
        verdict = self._rules.verdict([msgspec.structs.replace(hit, effect="deny") for hit in heaviest])
        detail = f"withheld by rule {verdict.rule} of policy {verdict.policy}, decision {decision}"
        finding = Finding("output", "withheld", "error", "answer", detail, "denied", policy=verdict.policy, rule=verdict.rule)
        rounds = max(hit.rounds for hit in hits) if anew else 0
        failed = dict.fromkeys(sentence(hit) for hit in hits)
        return Withheld(verdict, withheld_text(verdict, decision), finding, rounds, tuple(failed))

    def note(self, hit: Hit, words: str) -> None:
        """Puts what was found on record, each value once for each rule; never the value itself."""
        whole = hit.whole and bool(hit.detector)
        address = "" if whole else self._visit.gateway.scribe.hands.address(words.encode("utf-8", "surrogatepass"))
        name = (hit.policy, hit.rule, hit.detector, address or (hit.seen.code if hit.seen else ""))
        if name in self._noted or len(self._noted) >= _MOST_HEARD:
            return
        self._noted.add(name)
        action = self._action(hit)
        self._visit.x.heard.append(Heard("output", "answer", hit.rule_hit(), hit.detector, action, address))
        if (finding := hit.finding("answer", action, address)) is not None:
            self._visit.x.findings.append(finding)

    def _action(self, hit: Hit) -> Done:
        """What comes of it."""
        if not (self.acts and hit.counts):
            return "none"
        if hit.effect == "repair":
            return "repaired" if self._visit.repaired < hit.rounds else "denied"
        return "denied" if hit.effect == "deny" else "redacted" if hit.effect == "redact" else "none"


def output_rules(visit: Visit) -> OutputRules | None:
    """None where no rule looks at this agent's answers."""
    court, x = visit.court, visit.x
    if court is None or x.request is None:
        return None
    rules = screen(visit.gateway.policies, "output", sight_of(visit, court, x.request))
    return None if rules.idle else OutputRules(visit, x.request, rules)


def sight_of(visit: Visit, court: Court, request: Request) -> Sight:
    """What conditions at `output` see beside the text."""
    x = visit.x
    return Sight(
        caller=x.caller,
        dialect=x.dialect,
        model=request.model,
        session=court.session,
        conversation=court.conversation,
        now_us=visit.gateway.clock.now_us(),
        exchange=x.id,
        prompt=x.prompt_hash or "",
        about=partial(about, request, "output"),
    )


def sentence(hit: Hit) -> str:
    """What was seen, for the model that shall write anew."""
    said = hit.message or (hit.seen.detail if hit.seen else "") or (hit.seen.code if hit.seen else hit.rule)
    return f"{hit.detector}: {said.rstrip('.')}."
