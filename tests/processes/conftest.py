"""A provider to ask, and a folder with a policy, for gateways as processes of their own."""

from __future__ import annotations

import pytest

from gateway.rehearsal import RunningRehearsal
from tests.processes.starting import POLICY, SCRIPT


@pytest.fixture
def provider():
    with RunningRehearsal(SCRIPT) as provider:
        yield provider


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    return tmp_path
