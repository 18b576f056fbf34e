"""One steady time for all workers of a machine: microseconds since the machine started, on top of one base that the first of them wrote.

The base is the wall clock's when a machine first counts after its start. Whoever sets that clock later moves nothing; what is wrong with it
at that moment stays until the next start. Where the system does not tell one start from another, each process has its own base.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway import clock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TABLE = "CREATE TABLE IF NOT EXISTS steady (boot TEXT PRIMARY KEY, base_us INTEGER NOT NULL) STRICT, WITHOUT ROWID"


def steady_base(db: sqlite3.Connection) -> int:
    """What is added to `clock.boot_us`."""
    mine = clock.now_us() - clock.boot_us()
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        return mine
    db.execute(_TABLE)
    db.execute("INSERT INTO steady VALUES (?, ?) ON CONFLICT DO NOTHING", (boot, mine))
    db.execute("DELETE FROM steady WHERE boot <> ?", (boot,))
    found: int = db.execute("SELECT base_us FROM steady WHERE boot = ?", (boot,)).fetchone()[0]
    return found
