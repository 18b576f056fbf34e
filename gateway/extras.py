"""Libraries that only an extra of the package brings (`pip install 'tollhouse[experiments]'`), loaded where they are needed.

Who does without them gets an installation a quarter smaller; who needs them and has not got them is told which extra it is. Not for what
every installation has.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from gateway.errors import StartError


def installed(library: str) -> bool:
    """Without importing it."""
    return importlib.util.find_spec(library) is not None


def load(module: str, extra: str, what: str) -> Any:
    """The module, for `what`. Raises StartError that names the extra where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StartError(f"{what} needs {module.partition('.')[0]}, which cannot be loaded ({error}); {how(extra)}") from error


def how(extra: str) -> str:
    """To install it."""
    return f"install it with: pip install 'tollhouse[{extra}]'"
