"""DuckDB looks for pandas ten times a commit, and for pyarrow when it is handed rows, which loads 170 MB where it is installed; nobody here
wants either. Looking through all of `sys.path` takes a quarter of a millisecond each time, so the question is answered before that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

UNWANTED = frozenset({"pandas", "pyarrow"})


class _Unwanted(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname in UNWANTED:
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)


def refuse_unwanted() -> None:
    """From here on, in this process, there are none."""
    if not any(isinstance(finder, _Unwanted) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Unwanted())
