"""What a dialect lets pass is written in tables; no request may ever widen one."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import gateway.dialects

MODULES = sorted(found.name for found in pkgutil.iter_modules(gateway.dialects.__path__, "gateway.dialects."))


@pytest.mark.parametrize("module", MODULES)
def test_no_table_of_names_of_a_dialect_is_a_set_that_can_be_changed(module: str) -> None:
    """An operation with `dict.keys()` gives a `set`, also where the other side is a `frozenset` and the type checker is told so."""
    tables = vars(importlib.import_module(module))
    assert [name for name, value in tables.items() if isinstance(value, set)] == []


def test_the_parts_of_gemini_are_those_with_payloads_and_their_modifiers() -> None:
    from gateway.dialects import gemini_shape

    assert isinstance(gemini_shape.PART_KEYS, frozenset)
    assert {*gemini_shape.PAYLOADS} <= gemini_shape.PART_KEYS
    assert gemini_shape.PART_KEYS - {*gemini_shape.PAYLOADS} == gemini_shape.MODIFIERS
