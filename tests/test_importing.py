"""What is imported without looking for garbage leaves the looking as it was."""

from __future__ import annotations

import gc
import sys

import pytest

from gateway.importing import imported


@pytest.fixture(params=[True, False], ids=["looked for", "not looked for"])
def looked_for(request):
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_nothing_is_looked_for_while_a_module_is_imported(looked_for, tmp_path, monkeypatch):
    (tmp_path / "looks_at_itself.py").write_text("import gc\nLOOKED = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "looks_at_itself", raising=False)
    assert imported("looks_at_itself").LOOKED is False
    assert gc.isenabled() is looked_for


def test_a_module_that_cannot_be_imported_changes_nothing(looked_for):
    with pytest.raises(ModuleNotFoundError):
        imported("gateway.no_such_module")
    assert gc.isenabled() is looked_for
