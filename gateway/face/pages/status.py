"""Status: whether the gateway is well, and what to do where it is not.

What its planes say of themselves (`gateway.standing`, as `tollhouse status` shows it) and what a look at this machine finds
(`gateway.examining`, as `tollhouse doctor` does). Providers and the collector are asked only where somebody wants it: it may take seconds.
Not here: whether providers' keys are there. The process that serves this page is given none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway import examining, standing
from gateway.config import Settings
from gateway.examining import Finding
from gateway.face.page import Asked, House, Page, one_of

_HERE = (examining.policies, examining.disk, examining.state, examining.extensions)
_ELSEWHERE = (examining.collectors, examining.providers)
_ORDER = ("error", "warning", "ok")


async def data(house: House, asked: Asked) -> dict[str, Any]:
    everything = one_of(asked, "ask", ("machine", "providers")) == "providers"
    where = standing.addresses(house.settings.data_path) or {"listen": house.settings.listen_address.url, "admin": house.address}
    book = msgspec.to_builtins(await asyncio.to_thread(house.status))
    worker = await asyncio.to_thread(standing.readiness, where["listen"])
    looked = await asyncio.to_thread(lambda: list(_looks(house.settings, everything=everything)))
    found = sorted([*standing.troubles(worker, book), *looked], key=lambda each: _ORDER.index(each.level))
    return {
        "ready": bool(worker.get("ready") and book["ready"]),
        "listen": where["listen"],
        "admin": where["admin"],
        "worker": worker,
        "book": book,
        "targets": [{"models": ", ".join(route["models"]), **each} for route in worker.get("routes") or () for each in route["targets"]],
        "findings": [each._asdict() for each in found],
        "asked": everything,
    }


def _looks(settings: Settings, *, everything: bool) -> Iterator[Finding]:
    yield from examining.versions()
    yield from examining.startup_files()
    for look in _HERE + (_ELSEWHERE if everything else ()):
        yield from look(settings)


PAGE = Page("Status", "/status", "see-metadata", data, "status.html", rows="findings")
