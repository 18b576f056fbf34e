"""The rooms of the admin plane in which people read, erase and judge content, revise costs, reset budgets, give out and end keys and roles,
move labels of prompts and halt experiments, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway import clock, prices
from gateway.config import Settings
from gateway.installation import address_key, open_keys, open_limits, open_people, open_vault
from gateway.moving_labels import Labels
from gateway.rollout.ruling import Rulings
from gateway.state.approvals import Approvals
from gateway.trace.pens import everything
from gateway.trace.record import Record
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.vault import TenantVault
from gateway.web.access import AccessDesk
from gateway.web.budgets import BudgetsDesk
from gateway.web.content import ContentDesk, Open, Reader
from gateway.web.doors import Room
from gateway.web.erasure import ErasureDesk
from gateway.web.experiments import ExperimentsDesk
from gateway.web.export import ExportDesk
from gateway.web.feedback import FeedbackDesk
from gateway.web.prompts import PromptsDesk
from gateway.web.repricing import RepricingDesk


class Ledger(Protocol):
    """What is asked of the book."""

    def fetch(
        self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None
    ) -> Sequence[Mapping[str, Any]]: ...
    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]: ...
    async def write(self, record: Record) -> None: ...


def rooms(settings: Settings, data: Path, book: Ledger, approvals: Approvals, labels: Labels, rulings: Rulings) -> list[Room]:
    """Raises StartError for master keys that cannot be used."""
    settings = settings.model_copy(update={"data": str(data)})
    vault = open_vault(settings)
    reader = Reader(book.fetch, opening(vault))
    scribe = Scribe(address_key(settings), Redactor(()), detect=everything, vault=vault)
    at, new = clock.now_us, lambda: str(clock.uuid7())
    content = ContentDesk(reader, book.write, at, new)
    erasure = ErasureDesk(vault.keys if vault else None, approvals, book.write, at, new)
    export = ExportDesk(book.arrow, reader, book.write, at, new)
    budgets = BudgetsDesk(settings.budgets, open_limits(settings), book.fetch, book.write, at, new)
    repricing = RepricingDesk(book.fetch, book.write, lambda: prices.load(settings.prices, settings.price_table), at, new)
    feedback = FeedbackDesk(book.fetch, book.write, scribe, reader, at, new)
    prompts = PromptsDesk(labels)
    experiments = ExperimentsDesk(labels, rulings)
    access = AccessDesk(open_keys(settings), open_people(settings), at)
    return [
        Room("GET", "/keys", access.keys, "manage-keys"),
        Room("POST", "/keys", access.create, "manage-keys"),
        Room("GET", "/keys/{id}", access.key, "manage-keys"),
        Room("POST", "/keys/{id}/rotate", access.rotate, "manage-keys"),
        Room("POST", "/keys/{id}/revoke", access.revoke, "manage-keys"),
        Room("GET", "/people", access.people, "manage-people"),
        Room("POST", "/people", access.add, "manage-people"),
        Room("POST", "/people/{name}/roles", access.roles, "manage-people"),
        Room("POST", "/people/{name}/remove", access.remove, "manage-people"),
        Room("GET", "/teams", access.teams, "manage-people"),
        Room("POST", "/prompts/{name}/labels", prompts.move, "edit-prompts"),
        Room("POST", "/experiments/{name}/halt", experiments.halt, "edit-prompts"),
        Room("POST", "/experiments/{name}/promote", experiments.promote, "edit-prompts"),
        Room("GET", "/exchanges/{id}", content.exchange, "see-content", narrows=True),
        Room("GET", "/export/{what}", export.rows, "export", narrows=True),
        Room("POST", "/dataset", export.dataset, "export", narrows=True),
        Room("GET", "/budgets", budgets.listed, "see-metadata"),
        Room("GET", "/budgets/{id}", budgets.shown, "see-metadata"),
        Room("POST", "/budgets/{id}/reset", budgets.reset, "manage-costs"),
        Room("POST", "/erase", erasure.erase, "erase"),
        Room("POST", "/reprice", repricing.reprice, "manage-costs"),
        Room("GET", "/feedback", feedback.listed, "see-content", narrows=True),
        Room("POST", "/feedback", feedback.said, "give-feedback", narrows=True),
        Room("POST", "/feedback/own", feedback.own, "speak-for-agents"),
    ]


def opening(vault: TenantVault | None) -> Open:
    """What is not sealed stays what it is; what was sealed before encryption was taken out of the settings cannot be opened."""
    return vault.open if vault is not None else lambda text, about: text
