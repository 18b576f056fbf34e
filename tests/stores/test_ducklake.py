"""The lake: what two books write at once is what two embedded ledgers hold taken together, exactly once, in every view and saved query."""

from __future__ import annotations

from typing import Any

from gateway.ledger_place import LakePlace
from gateway.stores.ducklake import Lake


def test_every_view_and_saved_query_of_two_books_answers_as_two_embedded_ledgers_taken_together(
    lake_place: LakePlace, embedded: Any, life: Any, same_everywhere: Any
) -> None:
    nodes = [(Lake(lake_place, f"{number}" * 32), embedded(), life(number)) for number in (1, 2)]
    for each in zip(*(lived.batches(8) for _, _, lived in nodes), strict=True):
        for batch, (lake, ledger, _) in zip(each, nodes, strict=True):
            told = lake.apply([batch])
            assert _sorted(told) == _sorted(ledger.apply([batch]))
            assert lake.apply([batch]).records == 0
    for lake, ledger, _ in nodes:
        assert lake.offsets() == ledger.offsets()
    nodes[1][0].close()
    same_everywhere(nodes[0][0], [ledger for _, ledger, _ in nodes], queries=True)
    nodes[0][0].close()


def _sorted(applied: Any) -> Any:
    return applied._replace(interrupted=sorted(applied.interrupted))
