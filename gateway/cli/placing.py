"""Where a file is to be written."""

from __future__ import annotations

from pathlib import Path

import typer


def writable(out: Path) -> Path:
    """Looked at before anything is asked for it, and put on record. Raises typer.BadParameter."""
    if out.is_dir():
        raise typer.BadParameter(f"{out} is a folder; name a file in it", param_hint="--out")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}; make it, or name another file", param_hint="--out")
    return out
