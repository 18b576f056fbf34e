"""Sums that are kept as rows come in, so that what is asked over all time need not read everything: who spent what, what was judged, which
rules spoke, which tools were called.

Each batch adds a few rows of partial sums in the transaction of its facts, and the views add them up; `compact` makes one row of many when
nothing else is to be done. What is taken back (an interruption that was none) is added with a negative sign.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import duckdb
from msgspec import Struct

from gateway.stores.inserting import INCOMING, LISTED, as_list

COMPACT_AT = 20_000
"""Rows added since the last time."""


class Sum(Struct, frozen=True):
    """A table of sums: where its facts are, what it is by, and what it counts. `keys` and `counts` are SQL over the facts."""

    table: str
    facts: str
    keys: tuple[str, ...]
    counts: tuple[str, ...]
    """Columns that are added up: `name: expression`, where the expression is multiplied by the sign."""
    spans: tuple[str, ...]
    """Columns of which the least or greatest is kept: `name: aggregate: expression`."""

    def select(self, source: str, sign: int = 1) -> str:
        keys = [key.partition(": ") for key in self.keys]
        counts = [f"{sign} * ({expression}) AS {name}" for name, _, expression in (each.partition(": ") for each in self.counts)]
        spans = [f"{aggregate}({value}) AS {name}" for name, aggregate, value in (each.split(": ") for each in self.spans)]
        return f"SELECT {', '.join([*(f'{value} AS {name}' for name, _, value in keys), *counts, *spans])} FROM {source} GROUP BY ALL"

    def compacted(self, catalogue: str = "ledger") -> str:
        keys = [key.partition(": ")[0] for key in self.keys]
        counts = [f"sum({name})::{'DECIMAL(38,9)' if name == 'cost' else 'BIGINT'} AS {name}" for name, _, _ in map(_parts, self.counts)]
        spans = [f"{_AGAIN[aggregate]}({name}) AS {name}" for name, aggregate, _ in (each.split(": ") for each in self.spans)]
        return f"SELECT {', '.join([*keys, *counts, *spans])} FROM {catalogue}.{self.table} GROUP BY ALL"


def _parts(text: str) -> tuple[str, str, str]:
    return text.partition(": ")


_AGAIN = {"min": "min", "max": "max"}
_ROUTE = """regexp_replace(regexp_replace(route, '/models/[^/:]+', '/models/{model}'),
  '/(responses|conversations)/(?:resp|conv|msg|[^/]*[0-9_-])[^/]*', '/\\1/{id}')"""
"""Routes with an id or a model in them are one route each."""

EXCHANGES = Sum(
    "exchange_sums",
    "exchanges_ended",
    (
        "day: started_at::DATE", "agent: agent", "team: team", "provider: provider", "model: coalesce(response_model, request_model)",
        "dialect: dialect", f"route: {_ROUTE}", "stream: stream", "operation: operation", "state: state", "enforcing: enforcing",
        "prompt_hash: prompt_hash",
        "request_judged: len(list_filter(unevaluated, lambda x: NOT starts_with(x, 'answer:'))) = 0",
        "answer_judged: len(list_filter(unevaluated, lambda x: starts_with(x, 'answer:') OR x IN ('no_policy', 'route:pass_through'))) = 0",
    ),
    (
        "exchanges: count(*)", "unpriced: count(*) FILTER (cost IS NULL)", "with_calls: count(*) FILTER (calls > 0)",
        "cost: sum(TRY_CAST(cost AS DECIMAL(18,9)))", "input_tokens: sum(input_tokens)::BIGINT",
        "cache_read_tokens: sum(cache_read_tokens)::BIGINT", "cache_write_tokens: sum(cache_write_tokens)::BIGINT",
        "cache_write_1h_tokens: sum(cache_write_1h_tokens)::BIGINT", "output_tokens: sum(output_tokens)::BIGINT",
        "reasoning_tokens: sum(reasoning_tokens)::BIGINT", "calls: sum(calls)::BIGINT", "denied: sum(denied)::BIGINT",
    ),
    ("first_seen: min: started_at", "last_seen: max: started_at"),
)  # fmt: skip
CALLS = Sum(
    "call_sums",
    "calls",
    ("day: decided_at::DATE", "agent: agent", "name: name", "released: released"),
    ("calls: count(*)",),
    ("first_seen: min: decided_at", "last_seen: max: decided_at"),
)
HITS = Sum(
    "rule_sums",
    "rule_hits",
    ("day: decided_at::DATE", "policy: policy", "rule: rule", "line: CASE WHEN rule = 'allow' THEN line END"),
    ("hits: count(*)",),
    ("first_seen: min: decided_at", "last_seen: max: decided_at"),
)
SUMS = {each.facts: each for each in (EXCHANGES, CALLS, HITS)}


def added(facts: str, catalogue: str = "ledger") -> list[str]:
    """Statements that add up rows on their way into a table."""
    found = SUMS.get(facts)
    return [f"INSERT INTO {catalogue}.{found.table} BY NAME {found.select(INCOMING)}"] if found else []


def add_interrupted(con: duckdb.DuckDBPyConnection, ids: list[str], sign: int) -> None:
    """Adds, or takes back, exchanges that are on record as interrupted."""
    rows = f"(SELECT * FROM ledger.exchanges_ended WHERE state = 'interrupted' AND id IN (SELECT {LISTED}))"
    con.execute(f"INSERT INTO ledger.{EXCHANGES.table} BY NAME {EXCHANGES.select(rows, sign)}", [as_list(ids)])


def size(con: duckdb.DuckDBPyConnection) -> int:
    return sum(con.execute(f"SELECT count(*) FROM ledger.{each.table}").fetchall()[0][0] for each in SUMS.values())


def compact(con: duckdb.DuckDBPyConnection) -> None:
    """One row per key."""
    con.execute("BEGIN TRANSACTION")
    for each in SUMS.values():
        con.execute(f"CREATE OR REPLACE TABLE ledger.{each.table} AS {each.compacted()}")
    con.execute("COMMIT")
