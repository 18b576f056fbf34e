"""The rules of `at: output` over one answer: what they find is put on record, and the answer is cleaned or ends.

Made for an agent with such rules only; the answers of others are not looked at. While a policy enforces, what it asks for is done; where it
only observes, or where no rule in force could change anything, the words are heard as they pass and no byte waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.dialects.texts import Texts
from gateway.exchange import Finding, Heard
from gateway.policy.explain import withheld_text
from gateway.policy.screen import Hit, Screen, Sight, screen
from gateway.screening.streamed import Screening, Watching
from gateway.screening.whole import cleaned, looked_at
from gateway.visit import Visit, Withheld

Action = Literal["none", "redacted", "denied"]
_MOST_HEARD = 200
"""Different values of one answer that are put on record."""


class OutputScreen:
    """A policy's screen in the form in which answers are looked at."""

    def __init__(self, rules: Screen) -> None:
        self._rules = rules
        self.look_back, self.buffers = rules.look_back, rules.buffers
        self.find, self.redacted = rules.find, rules.redacted
        self.rewrites_signed = False

    def stops(self, hit: Hit) -> bool:
        return hit.counts and hit.effect == "deny"

    def replaces(self, hit: Hit) -> bool:
        return hit.counts and hit.effect == "redact"

    def waits(self, text: str) -> int | None:
        return None

    def everywhere(self, hit: Hit) -> bool:
        return not hit.detector

    def moved(self, hit: Hit, start: int, end: int) -> Hit:
        return msgspec.structs.replace(hit, start=start, end=end)


class OutputRules:
    """What the rules say of the answers of one exchange."""

    def __init__(self, visit: Visit, rules: Screen) -> None:
        self._visit, self._rules = visit, rules
        self._screen = OutputScreen(rules)
        self._noted: set[tuple[str, str, str, str]] = set()

    @property
    def acts(self) -> bool:
        """Whether a rule in force can change an answer."""
        return self._visit.x.enforcing and self._rules.acts

    @property
    def _texts(self) -> Texts:
        return self._visit.incoming.dialect.TEXTS

    def streamed(self) -> Screening[Hit] | Watching[Hit]:
        if self.acts:
            return Screening(self._screen, self._texts.streamed(), explain=self.explain, note=self.note)
        return Watching(self._screen, self._texts.streamed(), note=self.note)

    def looked_at(self, body: bytes) -> tuple[Hit, ...]:
        """Those hits because of which an answer in one piece may not be given."""
        stopping = looked_at(body, self._texts, self._screen, self.note)
        return stopping if self.acts else ()

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
        verdict = self._rules.verdict([msgspec.structs.replace(hit, effect="deny") for hit in hits])
        visit = self._visit
        if visit.withheld is None:
            decision = visit.book.new_decision()
            visit.denied = visit.denied or decision
            visit.withheld = Withheld(verdict, withheld_text(verdict, decision))
            detail = f"withheld by rule {verdict.rule} of policy {verdict.policy}, decision {decision}"
            visit.x.findings.append(Finding("output", "withheld", "error", "answer", detail, "denied"))
        return visit.withheld.text

    def note(self, hit: Hit, words: str) -> None:
        """Puts what was found on record, each value once for each rule; never the value itself."""
        address = self._visit.gateway.scribe.address(words.encode("utf-8", "surrogatepass"))
        name = (hit.policy, hit.rule, hit.detector, address)
        if name in self._noted or len(self._noted) >= _MOST_HEARD:
            return
        self._noted.add(name)
        acts = self.acts and hit.counts
        action: Action = "none"
        if acts and hit.effect in ("deny", "redact"):
            action = "denied" if hit.effect == "deny" else "redacted"
        self._visit.x.heard.append(Heard("output", "answer", hit.rule_hit(), hit.detector, action, address))


def output_rules(visit: Visit) -> OutputRules | None:
    """None where no rule looks at this agent's answers."""
    court, x = visit.court, visit.x
    if court is None or x.request is None:
        return None
    sight = Sight(
        caller=x.caller,
        dialect=x.dialect,
        model=x.request.model,
        session=court.session,
        conversation=court.conversation,
        now_us=visit.gateway.clock.now_us(),
    )
    rules = screen(visit.gateway.policies, "output", sight)
    return None if rules.idle else OutputRules(visit, rules)
