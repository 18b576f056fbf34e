"""Providers as people write them (`upstreams:` and `pass_through:` in the settings), and those that need no writing. Pure: which of them is
asked is chosen in `gateway/routes`, asking is `gateway/upstream`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.addresses import is_loopback
from gateway.documents import Section, placed
from gateway.key_source import KeySource
from gateway.platform_settings import Platform

DialectName = Literal["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]

PROVIDERS: dict[str, tuple[tuple[DialectName, ...], str, str]] = {
    "openai": (("openai.chat", "openai.responses"), "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": (("anthropic.messages",), "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "google": (("google.gemini",), "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
}
"""Upstreams that need no configuration: name -> (dialects, base URL, variable with the key)."""

_REQUESTS = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings")
"""Ends of addresses that people copy from a provider's page, to which the dialect's path would be added once more."""

_PLACES = {"eu.api.openai.com": "processed_in_eu", "us.api.openai.com": "processed_in_us"}
"""OpenAI's hosts for projects whose data stays in a region."""


class Upstream(Section):
    """A provider, or anything that speaks a provider's dialect."""

    dialect: Annotated[
        DialectName | Annotated[list[DialectName], Field(min_length=1)],
        Field(description="wire format the provider speaks; a list where it speaks several"),
    ]
    base_url: Annotated[
        str, Field(description="URL to which the dialect's path is added, e.g. https://api.openai.com/v1")
    ]
    key: Annotated[
        KeySource | None, Field(description="where the provider key is; none for a provider without keys")
    ] = None
    allow_http: Annotated[bool, Field(description="permit http:// to another machine (keys travel in clear text)")] = (
        False
    )
    platform: Annotated[Platform | None, Field(description="the cloud whose models these are; none = the provider's own address")] = None
    provider: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$", description="whose prices count, and who is on record; none = the dialect's own"),
    ] = None
    stream_options: Annotated[
        bool | None,
        Field(description="ask for the token counts of streams in openai.chat; none = yes, but not of mistral, which refuses the field"),
    ] = None

    @model_validator(mode="after")
    def served_by_its_platform(self) -> Self:
        if self.platform is None:
            return self
        if self.provider is not None:
            raise ValueError("give either a 'platform' or a 'provider', not both: a platform is its own provider")
        if wrong := [name for name in self.dialects if name not in self.platform.dialects]:
            raise ValueError(f"this platform is asked in {' or '.join(self.platform.dialects)} here, not in {wrong[0]}")
        if self.platform.of_machine and self.key is not None:
            raise ValueError("give either a 'key' or 'credentials: machine', not both")
        if self.key is None and not self.platform.of_machine:
            raise ValueError(f"a platform needs a 'key': {self.platform.key_form}; or 'credentials: machine'")
        return self

    @property
    def dialects(self) -> tuple[str, ...]:
        return (self.dialect,) if isinstance(self.dialect, str) else tuple(self.dialect)

    @property
    def asked_for_counts(self) -> bool:
        """Whether streams in OpenAI's dialect are asked for token counts by `stream_options`. Some count without, and refuse the field."""
        return self.provider not in ("mistral", "mistral_ai") if self.stream_options is None else self.stream_options

    @property
    def spoken(self) -> tuple[str, ...]:
        """In which it is really asked: a platform may have a dialect of its own for one of `dialects`."""
        return self.dialects if self.platform is None else self.platform.spoken(self.dialects)

    @property
    def place(self) -> str:
        """At which of its provider's addresses this is, where some models cost more there (`price_entry.PLACES`)."""
        vertex = self.platform.vertex if self.platform is not None else None
        if vertex is not None:
            return "" if vertex.location == "global" else "regional_endpoint"
        return _PLACES.get(urlsplit(self.base_url).hostname or "", "")

    @field_validator("base_url")
    @classmethod
    def plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must not hold a user name, password, query or fragment")
        plain = value.rstrip("/")
        if before := next((plain.removesuffix(end) for end in _REQUESTS if plain.endswith(end)), None):
            raise ValueError(f"is where one kind of request goes; write what stands before it: {before}")
        return plain

    @model_validator(mode="after")
    def where_its_provider_is(self) -> Self:
        """A version too few or too many is a 404 of each request."""
        known = {urlsplit(url).hostname: (set(dialects), url) for dialects, url, _ in PROVIDERS.values()}
        dialects, url = known.get(urlsplit(self.base_url).hostname, (set(), ""))
        if dialects.intersection(self.dialects) and urlsplit(self.base_url).path != urlsplit(url).path:
            raise placed(f"'base_url' of this provider is {url}", "base_url")
        return self

    @model_validator(mode="after")
    def encrypted_unless_local(self) -> Self:
        parts = urlsplit(self.base_url)
        if parts.scheme == "http" and not (self.allow_http or is_loopback(parts.hostname or "")):
            raise ValueError(
                "http:// to another machine sends the key in clear text; use https:// or set allow_http: true"
            )
        return self


class PassThrough(Section):
    """Routes of an upstream that nobody judges and that are served nevertheless: files, batches and the like."""

    upstream: Annotated[str, Field(description="name of an entry of `upstreams`")]
    routes: Annotated[
        list[str],
        Field(
            min_length=1,
            description="method and path below the base URL, * for one segment: 'POST /files', 'GET /files/*/content'",
        ),
    ]

    @field_validator("routes")
    @classmethod
    def method_and_path(cls, value: list[str]) -> list[str]:
        for route in value:
            if not re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) (/([A-Za-z0-9._~-]+|\*))+", route) or "/.." in route or "/./" in route:
                raise ValueError(f"'{route}' must be a method and a path, for example 'GET /files/*/content'")
        return value
