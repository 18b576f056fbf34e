"""Validators by name: those of this shelf, and those of installed packages (entry points of the group `tollhouse.validators`).

A package is imported when a rule names its validator, never before: which ones are installed is read once, from their metadata. What is
wrong with one is an error of the rule that names it, in words for its author; a name that two give is nobody's.

    [project.entry-points."tollhouse.validators"]
    polite = "my_package.polite:POLITE"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from gateway.documents import Section, nearest
from gateway.validators import VALIDATORS
from gateway.validators.validator import Validator

GROUP: Final = "tollhouse.validators"


def named(name: str) -> Validator:
    """Raises ValueError where there is none, or none that can be used."""
    given = _given().get(name, ())
    built_in = VALIDATORS.get(name)
    if len(given) + (built_in is not None) > 1:
        beside = " beside the built-in one" if built_in is not None else ""
        raise ValueError(f"'{name}' is given more than once: by {' and by '.join(map(_package, given))}{beside}; rename or uninstall one")
    if built_in is not None:
        return built_in
    if not given:
        others = sorted({*VALIDATORS, *_given()})
        offer = nearest(name, others) or f"; there are {', '.join(others)}"
        raise ValueError(f"names no validator: '{name}'{offer}")
    return _loaded(given[0])


def is_given(name: str) -> bool:
    """Whether anybody gives a validator of this name; it may still be one that cannot be used."""
    return name in VALIDATORS or name in _given()


def known() -> dict[str, Validator]:
    """All of them by name; those of packages are imported. Raises ValueError as `named` does."""
    return {name: named(name) for name in sorted({*VALIDATORS, *_given()})}


@cache
def _given() -> Mapping[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for one in entry_points(group=GROUP):
        found[one.name] = (*found.get(one.name, ()), one)
    return found


@cache
def _loaded(entry: EntryPoint) -> Validator:
    try:
        found = entry.load()
    except Exception as error:
        said = f"the validator '{entry.name}' of {_package(entry)} cannot be loaded ({type(error).__name__}: {error})"
        raise ValueError(f"{said}; mend {entry.value} or uninstall the package") from error
    problem = _problem(found, entry.name)
    if problem:
        raise ValueError(f"the validator '{entry.name}' of {_package(entry)} cannot be used: {entry.value} {problem}")
    return cast(Validator, found)


def _problem(found: object, name: str) -> str:
    if not isinstance(found, Validator):
        return f"is of type {type(found).__name__}; it must be a gateway.validators.validator.Validator"
    if found.name != name:
        return f"calls itself '{found.name}'; its entry point must have the same name"
    options: object = found.options
    if not (isinstance(options, type) and issubclass(options, Section)):
        return "has options that are no class of gateway.documents.Section"
    return "" if callable(found.make) else "has a 'make' that cannot be called"


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name} {entry.dist.version}" if entry.dist is not None else f"an unnamed package ({entry.value})"
