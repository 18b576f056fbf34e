"""Which fields are bodies is the caller's to say, at any depth of a record."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Struct

from gateway.trace.bodies import Splitter


class Leaf(Struct, frozen=True):
    name: str
    text: str = ""


class Plain(Struct, frozen=True):
    count: int = 0


class Tree(Struct, frozen=True):
    name: str
    note: str | None = None
    first: Leaf | None = None
    rest: tuple[Leaf, ...] = ()
    plain: Plain | None = None
    plains: tuple[Plain, ...] = ()


def splitter() -> Splitter:
    return Splitter({Tree: ("note",), Leaf: ("text",)})


WHOLE = Tree("t", "n", Leaf("a", "x"), (Leaf("b", "y"), Leaf("c")), Plain(1), (Plain(2),))


def test_facts_have_no_body_and_bodies_nothing_else():
    facts, bodies = splitter().split(WHOLE)
    assert facts == Tree("t", None, Leaf("a"), (Leaf("b"), Leaf("c")), Plain(1), (Plain(2),))
    assert bodies == {"note": "n", "first": {"text": "x"}, "rest": [{"text": "y"}, {}]}


@pytest.mark.parametrize("tree", [WHOLE, Tree("t"), Tree("t", "n"), Tree("t", rest=(Leaf("b", "y"),)), Tree("t", None, Leaf("a"))])
def test_the_two_are_put_together_again(tree):
    parts = splitter()
    facts, bodies = parts.split(tree)
    assert (parts.join(facts, bodies) if bodies else facts) == tree


def test_a_row_of_a_kind_without_bodies_has_none():
    assert splitter().split(Plain(3)) == (Plain(3), None)


def test_bodies_for_another_number_of_rows_are_refused():
    with pytest.raises(msgspec.ValidationError, match="other rows than the 2"):
        splitter().join(Tree("t", rest=(Leaf("a"), Leaf("b"))), {"rest": [{"text": "x"}]})
