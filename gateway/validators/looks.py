"""What every answer is looked through for where no rule asks: a few validators and detectors that need no options, and never withhold.

Their order of cost is what counts: the text is folded once, and a detector looks only where its hint says that there could be something,
which in most answers is nowhere. Not a policy: what is found is told, and it is for rules to act.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from pydantic import ValidationError

from gateway.documents import nearest
from gateway.validators import VALIDATORS
from gateway.validators.detectors import DETECTORS, VERSION, Detector, plain
from gateway.validators.installed import is_given, named
from gateway.validators.use import Said, Use, cut_off
from gateway.validators.validator import Seen, Subject

USUAL: Final = ("secret", "card", "iban")
_MOST_SEEN: Final = 20


NOTHING: Final = Said()
"""Of a text that was looked at to its end."""


class Look(NamedTuple):
    """What one of them said."""

    name: str
    version: str
    said: Said


class Looks(NamedTuple):
    """Those of one installation."""

    detectors: tuple[Detector, ...] = ()
    uses: tuple[Use, ...] = ()

    def at(self, subject: Subject, but: frozenset[str]) -> Iterator[Look]:
        """What they say of an answer; `but` names those that rules have asked already."""
        detectors = [one for one in self.detectors if one.name not in but]
        if detectors:
            yield from _found(detectors, subject)
        for use in self.uses:
            if use.name not in but:
                yield Look(use.name, use.validator.version, use.look(subject))


NO_LOOKS: Final = Looks()


def looks(names: Iterable[str]) -> Looks:
    """Raises ValueError, in words for who wrote the settings."""
    detectors: list[Detector] = []
    uses: list[Use] = []
    for name in dict.fromkeys(names):
        if name in DETECTORS:
            detectors.append(DETECTORS[name])
        else:
            uses.append(_use(name))
    return Looks(tuple(detectors), tuple(uses))


def _use(name: str) -> Use:
    if not is_given(name):
        known = sorted({*DETECTORS, *VALIDATORS})
        raise ValueError(f"'{name}' is no detector and no validator{nearest(name, known) or '; there are ' + ', '.join(known)}")
    validator = named(name)
    if "output" not in validator.hooks:
        raise ValueError(f"'{name}' does not look at answers")
    try:
        return Use(validator, validator.make(validator.options()))
    except (ValidationError, ValueError):
        raise ValueError(f"'{name}' needs options, which only a rule can give (validate: [{{{name}: …}}])") from None


def _found(detectors: Sequence[Detector], subject: Subject) -> Iterator[Look]:
    text = subject.text
    if subject.cut:
        yield from (Look(one.name, VERSION, Said(problem=cut_off(text))) for one in detectors)
        return
    read, hinted = plain(text)
    names = [one.name for one in hinted]
    for one in detectors:
        yield Look(one.name, VERSION, _seen(one, read) if one.name in names else NOTHING)


def _seen(detector: Detector, plain: bytes) -> Said:
    try:
        spans = list(detector.spans(plain))
    except Exception as error:  # noqa: BLE001 - whatever fails while looking, nothing is known
        return Said(problem=f"{detector.name} failed ({type(error).__name__})")
    seen = [Seen("found", f"the answer holds what looks like a {detector.name}", start=a, end=b, severity="warn") for a, b in spans]
    return Said(tuple(seen[:_MOST_SEEN]))
