"""Budgets as people write them (`budgets:` in the settings). Pure: what is counted, and against whom, is in `gateway/spending.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gateway.documents import Globs, Section
from gateway.exchange import Caller
from gateway.retention import span_us

Of = Literal["money", "tokens", "requests", "calls"]
NANO = 1_000_000_000
"""Money is counted in billionths of a dollar, rounded up."""
LARGEST = 2**62
_WHO = ("all", "key", "agent", "team", "org", "user", "session")
_TAG = re.compile(r"tag:[A-Za-z0-9_-]{1,40}")
_PERIODS = ("day", "month", "session", "total")
_GLOBS: Globs = Field(default_factory=list)


class Budget(Section):
    """How much may be spent by whom in which time."""

    other_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "of": dict.fromkeys(("usd", "cost", "dollars", "spend"), "'money'") | {"tool_calls": "'calls'"},
        "action": dict.fromkeys(("block", "deny", "refuse"), "'hard'") | dict.fromkeys(("warn", "alert", "notify"), "'soft'"),
    }

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="its name; another one begins at zero")]
    per: Annotated[
        str,
        Field(
            description="who has one of their own: all (one for everybody), key, agent, team (of its organisation), org, user, session, or "
            "tag:name (a label of the key, or else the header x-tollhouse-tag-name)",
        ),
    ]
    of: Annotated[
        Of,
        Field(
            description="money (USD), tokens (read and written), requests (also those that the cache answers), calls (proposed tool calls)"
        ),
    ]
    max: Annotated[str | int, Field(description='how much; money as text: "25.00"')]
    window: Annotated[
        str, Field(description="sliding: 1m, 1h, 24h, 7d … · calendar, in UTC: day, month · session · total = for ever")
    ]
    action: Annotated[
        Literal["hard", "soft"],
        Field(description="hard = what does not fit is refused · soft = it is noted, and people are told once per window"),
    ] = "hard"
    agents: Annotated[Globs, Field(description="only these agents (globs); none = all")] = _GLOBS
    teams: Annotated[Globs, Field(description="only these teams (globs): payments of any organisation, acme/payments, acme/*")] = _GLOBS
    orgs: Annotated[Globs, Field(description="only these organisations (globs)")] = _GLOBS
    users: Annotated[Globs, Field(description="only these users (globs)")] = _GLOBS
    keys: Annotated[Globs, Field(description="only these keys, by id (globs)")] = _GLOBS
    models: Annotated[Globs, Field(description="only requests for these models (globs)")] = _GLOBS
    routes: Annotated[Globs, Field(description="only these paths (globs): /v1/chat/completions")] = _GLOBS

    @field_validator("per")
    @classmethod
    def somebody(cls, value: str) -> str:
        if value not in _WHO and not _TAG.fullmatch(value):
            told = f"'{value}' is nobody who can have a budget; write {', '.join(_WHO)}, or tag: and a name of letters, digits and _ -"
            raise ValueError(told)
        return value

    @field_validator("window")
    @classmethod
    def a_window(cls, value: str) -> str:
        if value not in _PERIODS:
            try:
                span_us(value)
            except ValueError:
                raise ValueError(f"'{value}' is no window; write a span (1m, 1h, 24h, 7d), {', '.join(_PERIODS)}") from None
        return value

    @model_validator(mode="after")
    def an_amount(self) -> Self:
        if not 0 <= self.most <= LARGEST:
            raise ValueError(f"'max: {self.max}' cannot be counted; write 0 to {LARGEST // NANO} USD, or to {LARGEST} of the rest")
        return self

    @property
    def most(self) -> int:
        """In the unit that is counted."""
        if self.of != "money":
            if not isinstance(self.max, int):
                raise ValueError(f"'max' of {self.of} is a whole number, without quotes")
            return self.max
        text = str(self.max)
        if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
            raise ValueError("'max' of money is an amount in USD with at most nine decimals, in quotes: \"25.00\"")
        return int(Decimal(text) * NANO)

    @property
    def window_us(self) -> int:
        """Of a window that slides; 0 for the others."""
        return 0 if self.window in _PERIODS else span_us(self.window)

    @property
    def term(self) -> str:
        return f"{self.of} per {self.per.replace(':', ' ')}, {_TERMS.get(self.window) or 'in ' + self.window}"

    def concerns(self, caller: Caller, model: str, route: str) -> bool:
        who = ((self.agents, caller.agent), (self.orgs, caller.org), (self.users, caller.user), (self.keys, caller.key_id))
        asked = (*who, (self.models, model), (self.routes, route))
        fits = all(not globs or (value is not None and any(fnmatchcase(value, glob) for glob in globs)) for globs, value in asked)
        return fits and (not self.teams or self._names_team(caller))

    def _names_team(self, caller: Caller) -> bool:
        """By its name alone, or as people are bound to it (`people/bound.py`)."""
        whole = f"{caller.org or ''}/{caller.team or ''}"
        by_team = caller.team is not None and any(fnmatchcase(caller.team, glob) for glob in self.teams)
        return by_team or any("/" in glob and fnmatchcase(whole, glob) for glob in self.teams)

    def shown(self, amount: int) -> str:
        return self.bare(amount) if self.of == "money" else f"{amount} {self.of}"

    def bare(self, amount: int) -> str:
        """Where it was said before what is counted."""
        return f"${self.plain(amount)}" if self.of == "money" else str(amount)

    def plain(self, amount: int) -> str:
        """To the last digit, without its unit."""
        if self.of != "money":
            return str(amount)
        dollars = Decimal(amount) / NANO
        cents = dollars.quantize(Decimal("0.01"))
        return format(cents if dollars == cents else dollars.normalize(), "f")


_TERMS = {"day": "by calendar day (UTC)", "month": "by calendar month (UTC)", "session": "in one session", "total": "in total"}


def nano(amount: Decimal) -> int:
    """Billionths of a dollar, rounded up. Raises ValueError for what is no amount."""
    try:
        exact = amount * NANO
        return int(exact) + (exact != int(exact))
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"{amount} is no amount of money") from error
