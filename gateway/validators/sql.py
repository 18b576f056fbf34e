"""What SQL in a text would do: read or write, which tables, how many statements, and whether it means one thing.

`sqlglot` parses for the dialect that the rule names; what it cannot parse is a finding, and so is what databases and it could read in two
ways: comments (MySQL runs some of them), a backslash before a quote, control characters. What is not known to read is taken to do
more: statements other than queries, functions that are not every SQL's (`functions` admits them by name), files in the place of tables.

Not a sandbox: a function of the database may do what its name does not say, a view may write. Give the database user no more rights
than the agent needs; this tells early and in words what would be refused there.

`sqlglot` tries some joins again for each one that follows: the steps of its parser are counted and end at STEPS_PER_TOKEN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from gateway.documents import Maybe, Section, nearest
from gateway.validators.bounds import at_most
from gateway.validators.fences import fenced
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

MAX_TEXT: Final = 20_000
STEPS_PER_TOKEN: Final = 10
"""A query takes 1.1, at about 10 µs."""
_MORE_STEPS: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
_ESCAPED_QUOTE: Final = re.compile(r"\\['\"`]")
_FILE: Final = re.compile(r"[/\\:?*]|\.(?:csv|tsv|json|jsonl|ndjson|parquet|arrow|db|sqlite|xlsx?|txt|gz|zst)$", re.IGNORECASE)
_OUTSIDE: Final = re.compile(
    r"^READ_|_SCAN$|^(?:AI|ML)_|FILE|HTTP|^LOAD_|^EXTERNAL|^NEXT_VALUE|^PREDICT$|^GENERATE_(?:BOOL|DOUBLE|EMBEDDING|INT|TABLE|TEXT)$"
)
"""Functions sqlglot knows by name that leave the database, ask a model, or count something on."""
_LISTS: Final = frozenset({"duckdb", "snowflake", "databricks", "spark"})
"""Dialects in which a name behind IN is a column that holds a list. In SQLite and ClickHouse it is a table."""
_WORDS: Final = frozenset({"sql", "postgres", "postgresql", "psql", "mysql", "sqlite", "duckdb", "bigquery", "snowflake", "tsql", "plsql"})


class Sql(Section):
    """The dialect, and what is allowed in it."""

    dialect: str = Field(description="As sqlglot names it: postgres, mysql, sqlite, duckdb, bigquery, snowflake, tsql, …")
    where: Literal["text", "fenced"] = Field("text", description="`text`: all of the text is SQL. `fenced`: fenced blocks that say so.")
    read_only: bool = Field(True, description="Queries only, that lock and store nothing.")
    tables: Maybe[tuple[str, ...]] = Field(None, description="Tables that may be named: `orders`, `sales.*`. Default: all.")
    functions: tuple[str, ...] = Field((), description="Functions that may be called beside those that every SQL has.")
    statements: int = Field(1, ge=1, description="How many, at most.")
    comments: bool = Field(False, description="Comments may stand there.")


class _Grammar(NamedTuple):
    """A dialect of sqlglot, and what the rule allows in it."""

    exp: Any
    dialect: Any
    options: Sql
    tables: tuple[tuple[str, ...], ...] | None
    functions: frozenset[str]


class _TooManyStepsError(Exception):
    pass


def _made(options: Sql) -> Check:
    from sqlglot import exp, parser  # not before a rule asks: 40 MiB
    from sqlglot.dialects.dialect import Dialect, Dialects

    parser.logger.disabled = True  # it would write statements, and so their values, to the log
    known = [one.value for one in Dialects if one.value]
    if options.dialect not in known:
        raise ValueError(f"'{options.dialect}' is no dialect{nearest(options.dialect, known)}; known: {', '.join(sorted(known))}")
    dialect = Dialect.get_or_raise(options.dialect)
    name = partial(_stored, exp.Identifier, dialect)
    tables = None if options.tables is None else tuple(tuple(map(name, one.split("."))) for one in options.tables)
    return partial(_check, _Grammar(exp, dialect, options, tables, frozenset(one.upper() for one in options.functions)))


def _stored(identifier: Any, dialect: Any, written: str) -> str:
    """A name of the rule as the database has it: what stands in quotes stays as it is written."""
    made = identifier(this=written.strip('"'), quoted=written.startswith('"'))
    return str(dialect.normalize_identifier(made).name)


def _check(grammar: _Grammar, subject: Subject) -> Iterator[Seen]:
    if grammar.options.where == "text":
        yield from _judged(grammar, subject.text, 0)
        return
    for block in fenced(subject.text):
        if block.language in _WORDS:
            yield from _judged(grammar, block.code, block.start)


def _judged(grammar: _Grammar, sql: str, at: int) -> Iterator[Seen]:
    for code, said in dict.fromkeys(_wrong(grammar, at_most(sql, MAX_TEXT))):
        yield Seen(code, said, start=at, end=at + len(sql))


def _wrong(grammar: _Grammar, sql: str) -> Iterator[tuple[str, str]]:
    if _CONTROL.search(sql) or _ESCAPED_QUOTE.search(sql):
        yield "ambiguous", "the SQL has control characters, or a backslash before a quote; write it without ('' for a quote)"
        return
    parsed = _parsed(grammar, sql)
    if parsed is None:
        yield "unparsed", f"the SQL does not parse as {grammar.options.dialect}; write one plain statement"
        return
    statements, commented = parsed
    if commented and not grammar.options.comments:
        yield "comment", "the SQL has a comment; leave it out"
    if not 1 <= len(statements) <= grammar.options.statements:
        yield "statements", f"the text holds {len(statements)} statements; allowed are 1 to {grammar.options.statements}"
    for statement in statements:
        yield from _doing(grammar, statement)


def _parsed(grammar: _Grammar, sql: str) -> tuple[list[Any], bool] | None:
    """The statements, and whether there are comments."""
    try:
        tokens = grammar.dialect.tokenize(sql)
        found = _bounded(grammar.dialect.parser(), STEPS_PER_TOKEN * len(tokens) + _MORE_STEPS).parse(tokens, sql)
    except _TooManyStepsError:
        raise Unjudged("the SQL takes too long to parse; write its joins with ON, one after the other") from None
    except Exception:  # noqa: BLE001 - whatever the library stumbles over (RecursionError too) does not parse
        return None
    commented = bool(sql.strip()) and (not tokens or any(token.comments for token in tokens))
    return [one for one in found if one is not None and not isinstance(one, grammar.exp.Semicolon)], commented


def _bounded(parser: Any, steps: int) -> Any:
    """The parser, which gives up after so many steps over tokens, there and back."""
    advance = parser._advance  # noqa: SLF001 - it has no limit of its own, and everything it tries goes through here

    def counted(times: int = 1) -> None:
        nonlocal steps
        steps -= 1
        if steps < 0:
            raise _TooManyStepsError
        advance(times)

    parser._advance = counted  # noqa: SLF001
    return parser


def _doing(grammar: _Grammar, statement: Any) -> Iterator[tuple[str, str]]:
    exp = grammar.exp
    if grammar.options.read_only and not isinstance(statement, exp.Query):
        yield "writes", "a statement is no query; only SELECT is allowed"
    for node in statement.walk():
        if grammar.options.read_only and _stores(exp, node):
            yield "writes", "a query writes, locks or stores something; only reading is allowed"
        if isinstance(node, (exp.Table, exp.Lateral)):
            yield from _table(grammar, node)
        elif isinstance(node, exp.Func):
            yield from _function(grammar, node)
        elif isinstance(node, exp.In) and grammar.options.dialect not in _LISTS:
            yield from _sought(grammar, node)


def _stores(exp: Any, node: Any) -> bool:
    assigned = isinstance(node, exp.PropertyEQ) and isinstance(node.this, (exp.Parameter, exp.SessionParameter))
    return assigned or isinstance(node, (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock))


def _function(grammar: _Grammar, node: Any) -> Iterator[tuple[str, str]]:
    own = isinstance(node, (grammar.exp.Anonymous, grammar.exp.AnonymousAggFunc))
    name = str(node.name if own else node.sql_name()).upper()
    if (own or _OUTSIDE.search(name)) and name not in grammar.functions:
        yield "function", "a function is called that is not known to be harmless; use those that every SQL has"


def _table(grammar: _Grammar, node: Any) -> Iterator[tuple[str, str]]:
    if _is_computed(grammar.exp, node):
        return  # a function or query in the place of a table is looked at by itself
    if not isinstance(node, grammar.exp.Table) or not isinstance(node.this, grammar.exp.Identifier):
        yield "table", "a table is not called by its name (a stage, a variable, IDENTIFIER, LATERAL with a name); write its name"
        return
    yield from _named(grammar, node, node)


def _sought(grammar: _Grammar, node: Any) -> Iterator[tuple[str, str]]:
    """What stands behind IN without brackets."""
    field = node.args.get("field")
    if isinstance(field, grammar.exp.Column):
        yield from _named(grammar, node, field)
    elif field is not None and not isinstance(field, grammar.exp.Func):
        yield "table", "a table behind IN is not called by its name; write IN (SELECT …)"


def _named(grammar: _Grammar, node: Any, table: Any) -> Iterator[tuple[str, str]]:
    """What is to say of the table that a name stands for."""
    parts = tuple(_name(grammar, part) for part in table.parts)
    if len(parts) == 1 and _is_defined(grammar, node, parts[0]):
        return
    if any(map(_FILE.search, parts)):
        yield "file", "a file is read in the place of a table"
    if grammar.tables is not None and not any(_covers(allowed, parts) for allowed in grammar.tables):
        yield "table", f"a table is named that is not allowed; allowed are {', '.join(grammar.options.tables or ()) or 'none'}"


def _is_computed(exp: Any, node: Any) -> bool:
    return isinstance(node.this, (exp.Func, exp.Subquery)) and not isinstance(node.this, exp.DynamicIdentifier)


def _covers(allowed: Sequence[str], parts: Sequence[str]) -> bool:
    return len(allowed) == len(parts) and all(one in ("*", part) for one, part in zip(allowed, parts, strict=True))


def _name(grammar: _Grammar, identifier: Any) -> str:
    return str(grammar.dialect.normalize_identifier(identifier.copy()).name)


def _is_defined(grammar: _Grammar, table: Any, name: str) -> bool:
    """Whether a name is one that a WITH around it gives, rather than a table's."""
    inside, node = table, table.parent
    while node is not None:
        if any(_name(grammar, one.args["alias"].this) == name for one in _visible(grammar, inside, node)):
            return True
        inside, node = node, node.parent
    return False


def _visible(grammar: _Grammar, inside: Any, node: Any) -> Sequence[Any]:
    """The definitions of `node` that can be seen from `inside`: a definition sees those before it, and itself where it is recursive."""
    if isinstance(node, grammar.exp.With):
        here = next(at for at, one in enumerate(node.expressions) if one is inside)
        return list(node.expressions[: here + bool(node.args.get("recursive"))])
    clause = node.args.get("with_")
    return () if clause is None or clause is inside else list(clause.expressions)


SQL = Validator("sql", "1", Sql, _made)
