"""Where the price table lies on this machine: the JSON file inside the installed litellm, found without importing litellm
(its import costs seconds and 200 MB), or, where litellm is left out of an image, what was kept of it. The arithmetic is in
`gateway/cost.py`."""

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


def price_file() -> Path | None:
    """None when litellm is not installed, or holds no price table, and none is shipped."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return next(shipped.folder("prices").glob("litellm-*.json"), None)
    path = Path(spec.origin).with_name(_FILE)
    return path if path.is_file() else None


def load(overrides: Mapping[str, Mapping[str, str]] | None = None) -> PriceTable:
    """The installed table with the overrides on top; only the overrides when there is no table. Raises StartError."""
    path = price_file()
    try:
        return _installed(path, _stamp(path)).with_own(overrides or {})
    except (OSError, ValueError) as error:
        raise StartError(str(error)) from error


def _stamp(path: Path | None) -> tuple[int, int]:
    """Another one when the file is another one."""
    if path is None:
        return 0, 0
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _installed(path: Path | None, stamp: tuple[int, int]) -> PriceTable:
    """Read once: one and a half megabytes take some 10 ms."""
    if path is None:
        return PriceTable.from_json(b"{}", release="no price table")
    return PriceTable.from_json(path.read_bytes(), release=f"litellm {_release(path)}")


def _release(path: Path) -> str:
    """litellm's, which a shipped table has in its name."""
    return importlib.metadata.version("litellm") if path.name == _FILE else path.stem.removeprefix("litellm-")
