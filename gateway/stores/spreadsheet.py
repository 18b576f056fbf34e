"""An answer as CSV: text that a spreadsheet would take for a formula is tamed, and no reader can cut a row in two."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.stores import Answer

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WANTS_QUOTES = re.compile('[",\r\n]')


def csv_of(answer: Answer, shown: Callable[[str], str] = str) -> str:
    """Text cells that a spreadsheet would take for a formula get a leading apostrophe; numbers are left alone. `shown` makes text fit to be
    shown where the CSV goes."""
    lines = [[_tame(shown(name)) for name in answer.columns], *([_csv_cell(value, shown) for value in row] for row in answer.rows)]
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in lines)


def cell(value: Any) -> str:
    """As text: nothing for NULL, JSON for lists and structs."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _csv_cell(value: Any, shown: Callable[[str], str]) -> str:
    return cell(value) if isinstance(value, int | float) else _tame(shown(cell(value)))


def _quoted(text: str) -> str:
    """The csv module leaves a carriage return bare, which many readers take for the end of the row."""
    return '"' + text.replace('"', '""') + '"' if _WANTS_QUOTES.search(text) else text


def _tame(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal() and text.isascii()
