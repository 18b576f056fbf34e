"""What to do with a DuckDB file that cannot be used: whose fault it is, what to say, and how to keep its bytes under another name."""

from __future__ import annotations

import itertools
import logging
import re
import time
from pathlib import Path

from gateway.errors import LedgerInUse, StartError

log = logging.getLogger(__name__)

SURROUNDINGS = re.compile(
    "set lock|no space left|permission denied|read-only|too many open files|cannot allocate|out of memory|newer version|does not exist",
    re.IGNORECASE,
)
"""What DuckDB says when not the file but its surroundings are at fault."""


_HOLDER = re.compile(r"held in (?P<program>\S+) \(PID (?P<pid>\d+)\)")


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


def unusable(path: Path, why: str) -> StartError:
    """What to do about a file that DuckDB does not open, whose surroundings are at fault."""
    if "set lock" not in why:
        return StartError(f"cannot open the ledger {path}: {why}")
    holder = _HOLDER.search(why)
    by = f"process {holder['pid']} ({Path(holder['program']).name})" if holder else "another process"
    return LedgerInUse(f"{path} is in use by {by}; ask the running gateway, or end that process first")


def quoted(path: Path) -> str:
    """As SQL text."""
    return "'" + str(path).replace("'", "''") + "'"
