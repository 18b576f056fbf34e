"""What to do with a DuckDB file that cannot be used: whose fault it is, what to say, and how to keep its bytes under another name."""

from __future__ import annotations

import itertools
import logging
import re
import time
from pathlib import Path

log = logging.getLogger(__name__)

SURROUNDINGS = re.compile(
    "set lock|no space left|permission denied|read-only|too many open files|cannot allocate|out of memory|newer version|does not exist",
    re.IGNORECASE,
)
"""What DuckDB says when not the file but its surroundings are at fault."""


def set_aside(path: Path, why: str) -> None:
    """For a file that is no ledger any more. Nothing is deleted: the file and its write-ahead log keep their bytes under another name."""
    files = [file for file in (path, path.with_name(path.name + ".wal")) if file.exists()]
    if not files:
        return
    mark = _free_mark(path)
    log.error("%s cannot be used (%s); it is kept as %s%s and built again from the journal", path, why, path.name, mark)
    for file in files:
        file.rename(file.with_name(file.name + mark))


def _free_mark(path: Path) -> str:
    """One that no file bears: a name that is taken would be taken away from what was set aside before."""
    mark = f".corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    taken = {file.name.removeprefix(path.name).removeprefix(".wal") for file in path.parent.glob(f"{path.name}*{mark}*")}
    return next(each for each in itertools.chain([mark], (f"{mark}-{number}" for number in itertools.count(2))) if each not in taken)


def what_to_do(path: Path, why: str) -> str:
    if "set lock" in why:
        return f"{path} is in use by another process; ask the running gateway, or stop it first"
    return f"cannot open the ledger {path}: {why}"


def quoted(path: Path) -> str:
    """As SQL text."""
    return "'" + str(path).replace("'", "''") + "'"
