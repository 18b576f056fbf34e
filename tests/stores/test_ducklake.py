"""The lake: what two books write at once is what two embedded ledgers hold taken together, exactly once, in every view and saved query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.stores import StoreTrouble
from gateway.stores.ducklake import Lake, node_of


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
    same_everywhere(nodes[0][0], [ledger for _, ledger, _ in nodes], whole=True)
    nodes[0][0].close()


def _sorted(applied: Any) -> Any:
    return applied._replace(interrupted=sorted(applied.interrupted))


def test_a_book_has_one_name_for_ever(tmp_path: Path) -> None:
    name = node_of(tmp_path)
    assert (node_of(tmp_path), len(name)) == (name, 32)
    for damaged in ("", "zz" * 16, name + "0", "\udcff"):
        (tmp_path / "node").write_bytes(damaged.encode("utf-8", "surrogateescape"))
        with pytest.raises(StartError, match="node"):
            node_of(tmp_path)


def test_a_book_that_has_lost_its_name_is_told_it_and_doubles_nothing(lake_place: LakePlace, make: Any) -> None:
    segment, other = make.segment(), make.segment(run=2)
    first, renamed = Lake(lake_place, "1" * 32), Lake(lake_place, "2" * 32)
    first.apply([make.batch(segment, [make.booted(segment), make.ended(1)])])
    with pytest.raises(StoreTrouble, match=f"write {'1' * 32} into the file 'node'"):
        renamed.apply([make.batch(segment, [make.booted(segment), make.ended(1), make.ended(2)])])
    assert renamed.apply([make.batch(other, [make.booted(other), make.ended(3)])]).records == 2
    assert first.query("SELECT count(*) FROM exchanges", 1).rows == [[2]]
    renamed.close()
    first.close()
