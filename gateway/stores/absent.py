"""In the place of a ledger that cannot be opened yet: takes nothing, answers nothing, and says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.stores import Answer, Applied, Batch, Offset, Pace, Refused, StoreTrouble

if TYPE_CHECKING:
    from gateway.stores.lending import Loan, Need, Shape
    from gateway.trace.segments import Segment


class Absent:
    """A store until there is one. The journal goes on, and what it has is applied then."""

    pace = Pace(0.2, 1, 1)
    """No more is read of the journal than shows that nobody takes it."""
    version = ""
    worn = False
    whole = False

    def __init__(self, why: str) -> None:
        self._why = why

    def offsets(self) -> Mapping[str, Offset]:
        return {}

    def apply(self, batches: Sequence[Batch]) -> Applied:
        self._untaken()

    def quarantine(self, segment: Segment, damage: str) -> None:
        self._untaken()

    def tend(self) -> None:
        self._untaken()

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        self._unanswered()

    def views(self) -> Mapping[str, Mapping[str, str]]:
        self._unanswered()

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        self._unanswered()

    def shape(self) -> Shape:
        self._unanswered()

    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan:
        self._unanswered()

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        self._unanswered()

    def close(self) -> None:
        """There is nothing to close."""

    def _untaken(self) -> NoReturn:
        raise StoreTrouble(self._why, broken=True)

    def _unanswered(self) -> NoReturn:
        raise Refused("unavailable", f"the ledger cannot be asked now: {self._why}")
