"""Where the price table lies on this machine: the file that the settings name, a newer one for one; else the JSON file inside the installed
litellm, found without importing litellm (its import costs seconds and 200 MB), or, where litellm is left out of an image, what was kept of
it. The arithmetic is in `gateway/cost.py`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from gateway import shipped
from gateway.cost import PriceTable
from gateway.errors import StartError

_FILE = "model_prices_and_context_window_backup.json"
_A_PRICE = b'"input_cost_per_token"'


def price_file() -> Path | None:
    """None when litellm is not installed, or holds no price table, and none is shipped."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return next(shipped.folder("prices").glob("litellm-*.json"), None)
    path = Path(spec.origin).with_name(_FILE)
    return path if path.is_file() else None


def load(overrides: Mapping[str, Mapping[str, str]] | None = None, own: str | None = None) -> PriceTable:
    """The table with the overrides on top; only the overrides when there is none. `own`: the path of a table that the settings name. Raises
    StartError."""
    path = Path(own) if own else price_file()
    try:
        table = _read(path, _stamp(path), own=bool(own))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        do = "name a file in the form of litellm's model_prices_and_context_window.json under 'price_table'" if own else "reinstall litellm"
        raise StartError(f"the price table {path} cannot be used: {said}; {do}") from error
    try:
        return table.with_own(overrides or {})
    except ValueError as error:
        raise StartError(str(error)) from error


def _stamp(path: Path | None) -> tuple[int, int]:
    """Another one when the file is another one."""
    if path is None:
        return 0, 0
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _read(path: Path | None, stamp: tuple[int, int], *, own: bool) -> PriceTable:
    """Read once: one and a half megabytes take some 10 ms."""
    if path is None:
        return PriceTable.from_json(b"{}", release="no price table")
    data = path.read_bytes()
    table = PriceTable.from_json(data, release=path.name if own else f"litellm {_release(path)}")
    if own and _A_PRICE not in data:
        raise ValueError("it holds no prices")
    return table


def _release(path: Path) -> str:
    """litellm's, which a shipped table has in its name."""
    return importlib.metadata.version("litellm") if path.name == _FILE else path.stem.removeprefix("litellm-")
