"""Where people reach the pages, as they write it (`face:` in the settings). The pages are `gateway/face`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from gateway.documents import Section


class Face(Section):
    """The pages for browsers, on the admin plane."""

    url: Annotated[
        str | None,
        Field(description="where people reach them, if a proxy with TLS stands before: https://tollhouse.example.com; none = at admin"),
    ] = None

    @field_validator("url")
    @classmethod
    def an_origin(cls, value: str | None) -> str | None:
        if value is not None and not _is_origin(value):
            raise ValueError("must be scheme and host only, like https://tollhouse.example.com")
        return value.rstrip("/") if value else None


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not any(c.isspace() or c in "@?#" for c in text)
    return parts.scheme in ("http", "https") and bool(host) and parts.path in ("", "/") and plain
