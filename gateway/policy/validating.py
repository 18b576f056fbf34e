"""The `validate:` of a rule: its validators with their options, checked where the file says them, and made ready to look.

What a validator may stand beside is for the validator to say (`hooks`, `pieces`, `spans`), so it is checked here and not in the model: each
problem names the validator and what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.documents import Document, Path, Section, check
from gateway.errors import FileProblems, Problem
from gateway.policy.model import Rule
from gateway.policy.sought import ARGUMENT
from gateway.validators.installed import named
from gateway.validators.use import Use
from gateway.validators.validator import Check, Validator
from gateway.verdict import Hook

Contents = Callable[[Sequence[str]], Mapping[str, bytes]]
"""The files that a document names, by those names. Raises ValueError when one is not there."""


def uses(rule: Rule, at: Path, document: Document, contents: Contents, problems: list[Problem]) -> tuple[Use, ...]:
    """The validators of the rule at `at`; what is wrong with them joins the problems."""
    found = []
    for i, said in enumerate(rule.checks or ()):
        place = (*at, "validate", i)
        validator = named(_name(said))
        misplaced = list(_misplaced(rule, validator))
        problems += (document.problem(place, each, key=True) for each in misplaced)
        use = _use(validator, rule.at, place, document, contents, problems)
        if use is not None:
            found.append(use)
    return tuple(found)


def looks_afterwards(rule: Rule) -> bool:
    """Whether the rule looks at answers only when they have left."""
    return any(named(_name(said)).asks is not None for said in rule.checks or ())


def _name(said: str | dict[str, Any]) -> str:
    return said if isinstance(said, str) else next(iter(said))


def _misplaced(rule: Rule, validator: Validator) -> Iterator[str]:
    """What the validator cannot do that the rule asks for."""
    name = validator.name
    if validator.asks is not None:
        yield from _afterwards(rule, name)
        return
    if rule.at not in validator.hooks:
        yield f"'{name}' does not look at '{rule.at}'; it looks at {', '.join(sorted(validator.hooks))}"
    if rule.effect == "redact" and not validator.spans:
        yield f"'{name}' does not say where what it sees stands, so nothing can be taken out; use 'effect: deny', repair or warn"
    late = rule.effect == "warn" or validator.pieces or rule.stream == "buffer" or rule.effect == "repair"
    if rule.at == "output" and not late:
        yield (
            f"'{name}' must see the whole answer, so streams must be kept back for it; add 'stream: buffer', or 'effect: warn', which "
            "looks when the answer has ended"
        )


def _afterwards(rule: Rule, name: str) -> Iterator[str]:
    """The same for one that asks a model when the answer has left."""
    if rule.at != "output":
        yield f"'{name}' judges answers; add 'at: output'"
    if rule.effect != "warn":
        yield (
            f"'{name}' asks a model when the answer has left, so it can withhold nothing ('effect: {rule.effect}'); write 'effect: warn', "
            "and what has to be withheld into a rule with another validator"
        )
    if rule.stream is not None:
        yield f"'{name}' looks when the answer has left, so nothing need be kept back for it; remove 'stream: {rule.stream}'"
    if rule.detect is not None or len(rule.checks or ()) > 1:
        yield f"'{name}' looks when the answer has left, and what stands beside it before; write two rules"


def _use(
    validator: Validator, hook: Hook, place: Path, document: Document, contents: Contents, problems: list[Problem]
) -> Use | None:
    """None where the options are wrong."""
    said = _value(document, place)
    path = (*place, validator.name) if isinstance(said, dict) else place
    options = dict(said[validator.name] or {}) if isinstance(said, dict) else {}
    argument: Any = ()
    if ARGUMENT in options and ARGUMENT not in validator.options.model_fields:
        argument = _argument(options.pop(ARGUMENT), hook)
        if isinstance(argument, str):
            problems.append(document.problem((*path, ARGUMENT), argument))
            return None
    try:
        checked = check(document.part(path).with_value(options), validator.options)
        question = None if validator.asks is None else validator.asks(checked)
        return Use(validator, _made(validator, checked, contents), argument, question)
    except FileProblems as error:
        problems += (_about(validator, each) for each in error.problems)
    except ValueError as error:
        problems.append(document.problem(path, f"'{validator.name}': {error}", key=True))
    return None


def _made(validator: Validator, options: Section, contents: Contents) -> Check:
    if validator.files is None:
        return validator.make(options)
    return validator.files.make(options, contents(validator.files.named(options)))


def _about(validator: Validator, problem: Problem) -> Problem:
    """An option is known only to its validator, so the problem says whose it is."""
    said = problem.message.removeprefix("the file ")
    return replace(problem, message=f"'{validator.name}': {said}")


def _argument(said: object, hook: Hook) -> tuple[str, ...] | str:
    """The keys that lead to it, or what is wrong."""
    if hook != "tool_call":
        return f"'{ARGUMENT}' is about calls; it needs 'at: tool_call'"
    if not isinstance(said, str) or not all(said.split(".")):
        return f"'{ARGUMENT}' must name an argument, like query or body.text"
    return tuple(said.split("."))


def _value(document: Document, path: Path) -> Any:
    value = document.value
    for part in path:
        value = value[part]
    return value
