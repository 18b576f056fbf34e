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
        parts = urlsplit(value or "https://nobody")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
            raise ValueError("must be scheme and host only, like https://tollhouse.example.com")
        return value.rstrip("/") if value else None
