"""The saved questions: `traces/queries/*.sql` and those of a folder of one's own, each with a title and its parameters in leading comments.

    -- title: Cost by agent and day
    -- param: days = 30
    -- shows: content
    SELECT …  WHERE started_at > make_timestamp(epoch_us(now())) - to_days($days::INTEGER)

(`now()::TIMESTAMP` and `today()` are of the reader's own time zone in a DuckDB that opens a snapshot; what the book holds is UTC.)
`shows: content` stands where the answer holds what was said, proposed or answered: it is for people who may see that. One's own goes
before a shipped one of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gateway import shipped
from gateway.people.roles import Right

_NAME = re.compile(r"[a-z0-9_]+")
_TITLE = re.compile(r"^-- title: (.+)$", re.MULTILINE)
_CONTENT = re.compile(r"^-- shows: content$", re.MULTILINE)
_PARAM = re.compile(r"^-- param: (\w+) = (.*)$", re.MULTILINE)


class Query(Struct, frozen=True):
    """One question. `params` maps each parameter to what it is when nothing is given."""

    name: str
    title: str
    params: Mapping[str, str]
    sql: str
    own: bool = False
    """Whether it is of the installation's folder."""
    content: bool = False
    """Whether its answer holds what was said, proposed or answered."""


def read_all(own: Path | None = None) -> dict[str, Query]:
    """By name, in order of name; `own` is the installation's folder, which need not be there."""
    found = {path.stem: _read(path, own=False) for path in (shipped.folder("traces") / "queries").glob("*.sql")}
    if own is not None:
        found |= {query.name: query for query in map(_own, _files(own))}
    return dict(sorted(found.items()))


def right_for(query: Query) -> Right:
    """A saved question is its author's: one of the installation's own asks what it likes, one that shows what was said says so."""
    return "ask-sql" if query.own else "see-content" if query.content else "see-metadata"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.suffix.lower() == ".sql" and not path.name.startswith(".")]


def _own(path: Path) -> Query:
    """One that cannot be asked by its name is listed nevertheless, and says so."""
    if path.suffix == ".sql" and _NAME.fullmatch(path.stem):
        return _read(path, own=True)
    return Query(path.name, "cannot be asked: name the file in small letters, digits and _, with .sql behind them", {}, "", own=True)


def _read(path: Path, *, own: bool) -> Query:
    """One that cannot be read is listed nevertheless, and says so."""
    try:
        sql = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return Query(path.stem, f"{path} cannot be read: {error}", {}, "", own)
    if not sql.strip():
        return Query(path.stem, f"{path} is empty", {}, "", own)
    title = _TITLE.search(sql)
    params = {name: value.strip() for name, value in _PARAM.findall(sql)}
    return Query(path.stem, title[1].strip() if title else path.stem, params, sql, own, _CONTENT.search(sql) is not None)
