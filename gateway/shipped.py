"""Where the folders live that travel with the package: `policies/`, `traces/`, `deploy/`.

In a wheel they are inside the package; in a checkout they are the top-level folders people edit.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Path of a shipped folder (`policies`, `traces`, `deploy`)."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
