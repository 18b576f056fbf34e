"""How long a text may be, in characters and words."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from gateway.documents import Maybe, Section
from gateway.validators.validator import Check, Seen, Subject, Validator


class Length(Section):
    """At least one bound."""

    min: Maybe[int] = Field(None, ge=1, description="Characters, at least.")
    max: Maybe[int] = Field(None, ge=0, description="Characters, at most.")
    min_words: Maybe[int] = Field(None, ge=1, description="Words, at least.")
    max_words: Maybe[int] = Field(None, ge=0, description="Words, at most.")

    @model_validator(mode="after")
    def _bounds_something(self) -> Length:
        if self == Length.model_construct():
            raise ValueError("says no length; give min, max, min_words or max_words")
        return self


def _made(options: Length) -> Check:
    def check(subject: Subject) -> Iterator[Seen]:
        characters, words = len(subject.text), len(subject.text.split())
        yield from _outside(characters, options.min, options.max, "characters")
        yield from _outside(words, options.min_words, options.max_words, "words")

    return check


def _outside(found: int, least: int | None, most: int | None, unit: str) -> Iterator[Seen]:
    if least is not None and found < least:
        yield Seen("too_short", f"the text has {found} {unit}; at least {least} are asked for")
    if most is not None and found > most:
        yield Seen("too_long", f"the text has {found} {unit}; at most {most} are allowed")


LENGTH = Validator("length", "1", Length, _made)
