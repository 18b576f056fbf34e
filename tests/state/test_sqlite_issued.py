"""Digests of delivered calls: a file that is gone."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.state.sqlite_issued import SqliteIssued


def test_a_store_that_is_gone_says_so(tmp_path):
    store = SqliteIssued(tmp_path / "state.sqlite")
    store.close()
    for use in (lambda: store.keep("ada", [b"a"], 1), lambda: store.known("ada", [b"a"])):
        with pytest.raises(GatewayError) as error:
            use()
        assert error.value.code == "state_unavailable"
