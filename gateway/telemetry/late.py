"""An observatory that is opened when there is something to tell, or somebody looks: OpenTelemetry's SDK takes a fifth of a second and ten
megabytes, which a gateway that starts does not have to wait for. Where the settings name a collector it is opened at once.

1. The book's thread never waits: what it hands over meanwhile is kept, in order, up to `MOST_RECORDS`; what is more is counted as untold.
2. That the gateway was started (`QUIET`) is nothing to tell.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.stores import Applied, Batch
from gateway.trace.record import Booted, PolicyLoaded, PromptsLoaded

if TYPE_CHECKING:  # what is loaded late
    from gateway.telemetry.opening import Observatory

log = logging.getLogger("gateway.telemetry")

MOST_RECORDS = 50_000
QUIET = (Booted, PolicyLoaded, PromptsLoaded)


class LateObservatory:
    """For one book. `open_` makes an observatory and starts it."""

    def __init__(self, open_: Callable[[], Observatory], *, at_once: bool) -> None:
        """Raises what `open_` raises, where it is opened at once."""
        self._open = open_
        self._opening, self._handing = threading.Lock(), threading.Lock()
        self._opened: Observatory | None = None
        self._thread: threading.Thread | None = None
        self._kept: deque[tuple[Applied, Sequence[Batch]]] = deque()
        self._kept_records = self._left_out = 0
        if at_once:
            self._there()

    def tell(self, applied: Applied, batches: Sequence[Batch]) -> None:
        """From the book's thread. Never waits for the opening."""
        with self._handing:
            if self._opened is not None:
                self._opened.tell(applied, batches)
            elif not _quiet(applied, batches):
                self._keep(applied, batches)

    def page(self, accept: str) -> tuple[bytes, str]:
        """(body, media type) of `/metrics`. May take its time."""
        return self._there().page(accept)

    def untold(self) -> int:
        """What somebody should look at."""
        return self._left_out + (self._opened.untold() if self._opened is not None else 0)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._opened is not None:
            self._opened.close()

    def _keep(self, applied: Applied, batches: Sequence[Batch]) -> None:
        if self._kept_records + applied.records > MOST_RECORDS:
            self._left_out += len(applied.exchanges)
            return
        self._kept_records += applied.records
        self._kept.append((applied, batches))
        if self._thread is None:
            self._thread = threading.Thread(target=self._open_beside, daemon=True, name="telemetry-opening")
            self._thread.start()

    def _open_beside(self) -> None:
        try:
            self._there()
        except Exception:
            log.exception("telemetry could not be opened: /metrics says why; the book has everything")

    def _there(self) -> Observatory:
        with self._opening:
            if self._opened is None:
                made = self._open()
                with self._handing:
                    while self._kept:
                        made.tell(*self._kept.popleft())
                    self._opened = made
            return self._opened


def _quiet(applied: Applied, batches: Sequence[Batch]) -> bool:
    told = applied.exchanges or applied.calls or applied.interrupted
    return not told and all(isinstance(record, QUIET) for batch in batches for _, record in batch.records)
