"""How long the book keeps what: settings, and the points in time that follow from them. Pure: what is taken away, and how, is elsewhere.

*Bodies* are texts of people and models (`trace/record.py` names them). *Decisions* are everything: the whole record. A record's age counts
from when it was written.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator

from gateway.documents import Section

Compliance = Literal["none", "eu-ai-act"]
FOREVER = "forever"
SPAN_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
DAY_US = SPAN_US["d"]
FLOOR_DAYS: dict[Compliance, int] = {"none": 0, "eu-ai-act": 184}
"""Regulation (EU) 2024/1689, articles 19 and 26(6): logs are kept for at least six months; the longest six months have 184 days."""
_DEFAULT_DAYS = {"bodies": 30, "decisions": 400}


class Cutoffs(NamedTuple):
    """What was written before these points in time (µs since 1970 UTC) goes; None = nothing ever does."""

    bodies_us: int | None
    decisions_us: int | None


class Retention(Section):
    """How long the book keeps what."""

    bodies: Annotated[
        str,
        Field(description="texts: messages, prompts, arguments, previews. A span (90m, 36h, 30d), forever, or auto = 30d"),
    ] = "auto"
    decisions: Annotated[str, Field(description="whole records: who, what, which rule, what it cost. Auto = 400d")] = "auto"

    @field_validator("bodies", "decisions")
    @classmethod
    def a_span(cls, value: str) -> str:
        if value not in ("auto", FOREVER):
            span_us(value)
        return value

    def kept_us(self, compliance: Compliance) -> tuple[int | None, int | None]:
        """How long bodies and decisions are kept, in µs; None = for ever. Raises ValueError for what cannot be meant."""
        floor = FLOOR_DAYS[compliance]
        bodies, decisions = (_kept(name, getattr(self, name), floor) for name in ("bodies", "decisions"))
        for name, kept in (("bodies", bodies), ("decisions", decisions)):
            if kept is not None and kept < floor * DAY_US:
                raise ValueError(
                    f"retention.{name} is {getattr(self, name)}, but compliance {compliance} asks for at least {floor}d; "
                    f"raise it to {floor}d, or take the line 'compliance' out"
                )
        if decisions is not None and (bodies is None or bodies > decisions):
            raise ValueError(
                f"retention.bodies ({self.bodies}) is longer than retention.decisions ({self.decisions}), and a body goes with its record; "
                "give bodies at most as long as decisions"
            )
        return bodies, decisions

    def cutoffs(self, compliance: Compliance, now_us: int) -> Cutoffs:
        bodies, decisions = self.kept_us(compliance)
        return Cutoffs(None if bodies is None else now_us - bodies, None if decisions is None else now_us - decisions)


def span_us(text: str) -> int:
    """`90m`, `36h`, `30d` in µs. Raises ValueError saying what is expected."""
    digits, unit = text[:-1], text[-1:]
    if unit not in SPAN_US or not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 1_000_000:
        raise ValueError(f"'{text}' is no span of time; write a number and m, h or d (90m, 36h, 30d), or forever")
    return int(digits) * SPAN_US[unit]


def _kept(name: str, text: str, floor: int) -> int | None:
    if text == FOREVER:
        return None
    return max(_DEFAULT_DAYS[name], floor) * DAY_US if text == "auto" else span_us(text)
