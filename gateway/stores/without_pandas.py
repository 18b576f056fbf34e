"""DuckDB looks for pandas ten times a commit and pyarrow once; nobody here wants it. Looking through all of `sys.path` takes a quarter of a
millisecond each time, so the question is answered before that.

Not by `sys.modules["pandas"] = None`: pyarrow takes that for the module itself where numpy is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used here", name="pandas")


def refuse_pandas() -> None:
    """From here on, in this process, there is none."""
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())
