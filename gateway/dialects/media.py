"""How media in messages are told apart: sent along, or left for the provider to fetch."""

from __future__ import annotations

from typing import Literal

from gateway.request import Media


def addressed(kind: Literal["image", "audio", "video", "file"], path: str, address: str, media_type: str = "") -> Media:
    """Media given as an address: a `data:` URI holds it, anything else is where it would be fetched."""
    if address[:5].lower() == "data:":
        return Media(kind, path, media_type, data=address)
    return Media(kind, path, media_type, url=address)
