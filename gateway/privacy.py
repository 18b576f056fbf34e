"""The rooms of the admin plane in which people read, erase and judge content and revise costs, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway import clock, prices
from gateway.config import Settings
from gateway.installation import address_key, open_vault
from gateway.state import Approvals
from gateway.trace.pens import everything
from gateway.trace.record import Record
from gateway.trace.redact import Redactor
from gateway.trace.rows import Scribe
from gateway.vault import TenantVault
from gateway.web.admin import Room
from gateway.web.content import ContentDesk, Open, Reader
from gateway.web.erasure import ErasureDesk
from gateway.web.export import ExportDesk
from gateway.web.feedback import FeedbackDesk
from gateway.web.repricing import RepricingDesk


class Ledger(Protocol):
    """What is asked of the book."""

    def fetch(self, sql: str, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]: ...
    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]: ...
    async def write(self, record: Record) -> None: ...


def rooms(settings: Settings, data: Path, book: Ledger, approvals: Approvals) -> list[Room]:
    """Raises StartError for master keys that cannot be used."""
    settings = settings.model_copy(update={"data": str(data)})
    vault = open_vault(settings)
    reader = Reader(book.fetch, opening(vault))
    scribe = Scribe(address_key(settings), Redactor(()), detect=everything, vault=vault)
    at, new = clock.now_us, lambda: str(clock.uuid7())
    content = ContentDesk(reader, book.write, at, new)
    erasure = ErasureDesk(vault.keys if vault else None, approvals, book.write, at, new)
    export = ExportDesk(book.arrow, reader, book.write, at, new)
    repricing = RepricingDesk(book.fetch, book.write, lambda: prices.load(settings.prices), at, new)
    feedback = FeedbackDesk(book.fetch, book.write, scribe, reader, at, new)
    return [
        Room("GET", "/exchanges/{id}", content.exchange),
        Room("GET", "/export/{what}", export.rows),
        Room("POST", "/dataset", export.dataset),
        Room("POST", "/erase", erasure.erase),
        Room("POST", "/reprice", repricing.reprice),
        Room("GET", "/feedback", feedback.listed),
        Room("POST", "/feedback", feedback.said),
        Room("POST", "/feedback/own", feedback.own),
    ]


def opening(vault: TenantVault | None) -> Open:
    """What is not sealed stays what it is; what was sealed before encryption was taken out of the settings cannot be opened."""
    return vault.open if vault is not None else lambda text, about: text
