"""How data becomes HTML: Jinja2 with autoescape, and the few ways in which times, money and text are shown.

Whatever a template writes is escaped and has its steering characters shown (`visible`); only SVG of `charts` comes as markup. Templates say
nothing about what a value means: data functions do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway import __version__
from gateway.face import charts
from gateway.face.door import HOME
from gateway.face.filters import with_term
from gateway.face.plots import PlotProblem, plot
from gateway.face.what_if import MOST_TEXT
from gateway.people import bound
from gateway.stores import Answer
from gateway.stores.spreadsheet import cell
from gateway.visible import visible_lines

_NAME = re.compile(r"[\w@:+][\w.@:+-]*")
_POLICY_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*\.ya?ml")
FILES = {"face.css": "text/css; charset=utf-8", "face.js": "text/javascript; charset=utf-8"}


def static(name: str) -> bytes:
    return (resources.files("gateway.face") / "static" / name).read_bytes()


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("gateway.face", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    values = (at, when, money, ms, count, share, clipped, team_of, hour, minute, monthday, number, tojson_text, tojson_lines)
    others = (query, with_term, policy_page, rule_name, version_name, cell, drawn, trace_cells, waterfall, addressed)
    made.filters.update({each.__name__: each for each in (*values, *others)})
    made.globals.update(charts=charts, trace_columns=TRACE_COLUMNS, money=money, most_text=MOST_TEXT, version=__version__)
    made.globals.update(stamp=hashlib.sha256(b"".join(map(static, FILES))).hexdigest()[:12])
    return made


def shown(value: Any) -> Any:
    """What stands in a page for a value."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible_lines(value)
    return value


def at(value: str | None) -> str:
    """A time of the book as people read it, UTC."""
    return "" if not value else value[:19].replace("T", " ")


def when(value: str | None, now: str) -> str:
    """How long before `now`, or until then: `3 min ago`, `in 2 h`."""
    if not value:
        return ""
    seconds = (_moment(now) - _moment(value)).total_seconds()
    size = abs(seconds)
    for unit, of in (("s", 1), ("min", 60), ("h", 3600), ("d", 86400)):
        if size < {"s": 60, "min": 3600, "h": 86400 * 2, "d": 1e12}[unit]:
            text = f"{int(size // of)} {unit}"
            return f"{text} ago" if seconds >= 0 else f"in {text}"
    return at(value)


def money(value: str | float | None) -> str:
    """USD; what is not known is not zero."""
    if value is None:
        return "unknown"
    amount = Decimal(str(value))
    if abs(amount) >= 1 or amount == amount.quantize(Decimal("0.01")):
        return f"${amount:,.2f}"
    return f"${amount:.6f}".rstrip("0")


def ms(value: float | None) -> str:
    """Microseconds as people read them."""
    if value is None:
        return ""
    if value < 1000:
        return f"{value:.0f} µs"
    return f"{value / 1000:,.1f} ms" if value < 1_000_000 else f"{value / 1_000_000:,.2f} s"


def count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def tojson_text(value: Any) -> str:
    """As text in a page, not for a script: it is escaped like any other."""
    return msgspec.json.encode(value).decode()


def tojson_lines(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def hour(value: str) -> str:
    """Of a time, for an axis."""
    return f"{value[5:10]} {value[11:13]}h"


def minute(value: str) -> str:
    """Of a time, for an axis."""
    return f"{value[5:10]} {value[11:16]}"


def monthday(value: str) -> str:
    """Of a day, for an axis."""
    return value[5:10]


def number(value: str | float | None) -> float | None:
    """Money as a chart takes it."""
    return None if value is None else float(value)


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def query(params: dict[str, Any], **changed: Any) -> str:
    """An address's query with some of it changed; what is None or empty is left out."""
    wanted = {name: value for name, value in {**params, **changed}.items() if value not in (None, "")}
    return f"?{urlencode(wanted)}" if wanted else "?"


def policy_page(file: str, line: int | None = None, version: str | None = None) -> str:
    """The address of a policy file; of a name that an address cannot hold as it is, by `?file=`."""
    plain = _POLICY_FILE.fullmatch(file) is not None and "//" not in file and "/." not in file
    asked = query({"file": "" if plain else file, "version": version or ""})
    return f"{HOME}/policies/{file if plain else 'file'}{asked if asked != '?' else ''}{f'#L{line}' if line else ''}"


def rule_name(rule: Mapping[str, Any]) -> str:
    """In a chart, where a grant is told by its line."""
    return f"{rule['policy']} {rule['rule']}" + (f", line {rule['line']}" if rule["kind"] == "grant" else "")


def version_name(version: Mapping[str, Any]) -> str:
    """Of a prompt, in a chart."""
    return f"{clipped(version['prompt'], 20)} {version['version'][:8]}"


def clipped(text: str | None, most: int = 200) -> str:
    return "" if text is None else text if len(text) <= most else text[:most] + "…"


def team_of(row: Mapping[str, Any]) -> str:
    """As people are bound to it: with its organisation, where the key names one."""
    return bound.shown(row["org"], row["team"])


TRACE_COLUMNS: Mapping[str, str] = {
    "team": "Team", "user": "User", "session": "Session", "key_id": "Key", "provider": "Provider", "route": "Route",
    "prompt_hash": "Prompt", "input_tokens": "Tokens in", "output_tokens": "Tokens out", "overhead_us": "Overhead", "error_code": "Error",
}  # fmt: skip
"""What the traces page can show beside its usual columns, by the row's names."""


def trace_cells(row: Mapping[str, Any], more: Sequence[str] = ()) -> list[tuple[str, str]]:
    """One exchange as a row of the traces page: (text, CSS class). The live tail sends the same."""
    calls = f"{row['calls']}" + (f", {row['denied']} withheld" if row["denied"] else "")
    return [
        (at(row["started_at"]), "mono"),
        (visible_lines(row["agent"]), ""),
        *(_trace_cell(name, team_of(row) if name == "team" else row[name]) for name in more),
        (visible_lines(row["model"] or ""), ""),
        (row["state"] if row["enforcing"] or row["state"] == "open" else f"{row['state']}, observed", row["state"]),
        (calls, "number bad" if row["denied"] else "number"),
        (money(row["cost"]), "number"),
        (ms(row["duration_us"]), "number"),
    ]


def drawn(data: Mapping[str, Any]) -> dict[str, Any]:
    """The chart that was asked for of an answer, or why there is none."""
    try:
        return {"chart": plot(Answer(**data["answer"]), data["chosen"]) if data["answer"] else None, "problem": ""}
    except PlotProblem as problem:
        return {"chart": None, "problem": str(problem)}


def _trace_cell(name: str, value: Any) -> tuple[str, str]:
    if name.endswith("_us"):
        return ms(value), "number"
    return (count(value), "number") if name.endswith("_tokens") else (visible_lines(clipped(value, 40)), "")


def addressed(name: str, **params: str | None) -> str:
    """A name that somebody chose as the end of an address. Such as a browser or the twins would read otherwise stand in the query."""
    if _NAME.fullmatch(name) and not name.endswith((".json", ".csv")):
        return quote(name, safe="") + query(params).removesuffix("?")
    return "-" + query({"name": name, **params})


def waterfall(spans: Sequence[Mapping[str, Any]]) -> Markup:
    """Rows with `name`, `start`, `length` (microseconds) and `kind`."""
    return charts.waterfall("When what happened", [charts.Span(**each) for each in spans], ms)


def _moment(value: str) -> dt.datetime:
    return dt.datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=None)
