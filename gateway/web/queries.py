"""The canned questions: `traces/queries/*.sql`, each with a title and its parameters in leading comments.

    -- title: Cost by agent and day
    -- param: days = 30
    SELECT …  WHERE started_at > now()::TIMESTAMP - to_days($days::INTEGER)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gateway import shipped

_NAME = re.compile(r"[a-z0-9_]+")
_TITLE = re.compile(r"^-- title: (.+)$", re.MULTILINE)
_PARAM = re.compile(r"^-- param: (\w+) = (.*)$", re.MULTILINE)


class Query(Struct, frozen=True):
    """One question. `params` maps each parameter to what it is when nothing is given."""

    name: str
    title: str
    params: Mapping[str, str]
    sql: str


def read_all(folder: Path | None = None) -> dict[str, Query]:
    """By name, in order of name."""
    folder = folder or shipped.folder("traces") / "queries"
    return {path.stem: _read(path) for path in sorted(folder.glob("*.sql")) if _NAME.fullmatch(path.stem)}


def _read(path: Path) -> Query:
    sql = path.read_text(encoding="utf-8")
    title = _TITLE.search(sql)
    return Query(path.stem, title[1].strip() if title else path.stem, dict(_PARAM.findall(sql)), sql)
