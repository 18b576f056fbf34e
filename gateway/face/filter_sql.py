"""A filter as SQL over `exchanges AS e`. Every value is a parameter; what stands in the text of the SQL is ours alone. Pure."""

# ruff: noqa: S608 - names and signs are ours, values are parameters; a property test says so

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.face.filters import FIELDS, OF_CALLS, Term, pattern, plain

_COLUMNS: Mapping[str, str] = {
    "agent": "e.agent", "org": "e.org", "team": "e.team", "user": 'e."user"', "key": "e.key_id", "session": "e.session",
    "model": "coalesce(e.response_model, e.request_model)", "provider": "e.provider", "state": "e.state", "dialect": "e.dialect",
    "error": "e.error_code", "prompt": "e.prompt_hash", "id": "e.id", "trace": "e.trace_id",
    "cost": "e.cost", "calls": "e.calls", "denied": "e.denied", "status": "e.status",
    "tokens": "(coalesce(e.input_tokens, 0) + coalesce(e.cache_read_tokens, 0) + coalesce(e.output_tokens, 0)"
    " + coalesce(e.reasoning_tokens, 0))",
    "ms": "e.duration_us / 1000", "overhead_ms": "e.overhead_us / 1000",
    "decision": "c.effect", "tool": "c.name", "rule": "c.rule", "policy": "c.policy", "code": "c.code", "would": "c.would",
}  # fmt: skip
_PARAM = re.compile(r"\$(f[0-9]+)")
_TEXTS = ("e.input_preview", "e.output_preview", "e.error_message")


class Where(NamedTuple):
    """`sql` is a condition over `exchanges AS e`; `of_calls` the same over `calls AS c` of what terms say about one call, or empty."""

    sql: str
    of_calls: str
    params: Mapping[str, str]
    alone: bool
    """Nothing is asked of the exchange itself but from when on, which its calls are asked too."""

    def named_in(self, sql: str) -> dict[str, str]:
        """The parameters that a question names: DuckDB takes no others."""
        named = set(_PARAM.findall(sql))
        return {name: value for name, value in self.params.items() if name in named}


def where(terms: Sequence[Term], since: str | None) -> Where:
    """`since` bounds what would otherwise be asked of all time."""
    made = _Made()
    times = [term for term in terms if FIELDS[term.field] == "time"]
    begins = [term.values[0] for term in times if term.field == "since"] or ([since] if since else [])
    bounds = [f"e.started_at >= {made.param(value)}::TIMESTAMP" for value in begins]
    bounds += [f"e.started_at < {made.param(term.values[0])}::TIMESTAMP" for term in times if term.field == "until"]
    after = " AND ".join(f"decided_at >= {made.param(value)}::TIMESTAMP" for value in begins) or "true"
    made.after = after
    own = [made.one(term) for term in terms if term not in times and term.field not in OF_CALLS]
    called = [made.one(term) for term in terms if term.field in OF_CALLS and not term.negated]
    lacking = [made.one(term) for term in terms if term.field in OF_CALLS and term.negated]
    alone = not own and not lacking and all(term.field != "until" for term in times)
    if called:
        own.append(f"e.id IN (SELECT c.exchange_id FROM calls AS c WHERE {after} AND {' AND '.join(called)})")
    own += [f"e.id NOT IN (SELECT c.exchange_id FROM calls AS c WHERE {after} AND {each})" for each in lacking]
    return Where(" AND ".join([*bounds, *own]) or "true", " AND ".join([after, *called]), made.params, alone)


class _Made:
    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.after = "true"
        """Bounds of calls in time."""

    def param(self, value: str) -> str:
        name = f"f{len(self.params)}"
        self.params[name] = value
        return f"${name}"

    def one(self, term: Term) -> str:
        """A negated term about a call is turned round by its place, not here."""
        said = " OR ".join(self._value(term, value) for value in term.values)
        return f"NOT coalesce(({said}), false)" if term.negated and term.field not in OF_CALLS else f"({said})"

    def _value(self, term: Term, value: str) -> str:
        if term.field == "text":
            wanted = self.param(value)
            inside = " OR ".join(f"contains(lower({column}), lower({wanted}))" for column in _TEXTS)
            called = f"e.id IN (SELECT t.exchange_id FROM calls AS t WHERE {self.after} AND contains(lower(t.arguments), lower({wanted})))"
            return f"({inside} OR {called})"
        column = _COLUMNS[term.field]
        if FIELDS[term.field] == "number":
            sign = "=" if term.sign == ":" else term.sign
            return f"{column} {sign} {self.param(value)}::DECIMAL(24,9)"
        if term.sign == "~":
            return f"contains(lower({column}), lower({self.param(value)}))"
        like = pattern(value)
        return f"{column} = {self.param(plain(value))}" if like is None else f"{column} ILIKE {self.param(like)} ESCAPE '\\'"
