"""Commands over a data folder of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner

from gateway.config import Settings


class Commands:
    def __init__(self, app: Typer, data: Path) -> None:
        data.mkdir()
        self._app, self.data = app, str(data)

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(self._app, [*arguments, "--data", self.data])

    def found(self, opened: Callable[[Settings], Any], token: str) -> Any:
        """What a store of that folder holds of a token, now."""
        store = opened(Settings(data=self.data))
        try:
            return store.find(token, time.time_ns() // 1000)
        finally:
            store.close()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Typer], Commands]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    return lambda app: Commands(app, tmp_path / "data")
