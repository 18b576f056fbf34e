"""What a terminal is shown: see `gateway.visible`, which the pages in a browser use too."""

from __future__ import annotations

from gateway.visible import visible

__all__ = ["visible"]
