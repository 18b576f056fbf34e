"""Where data lies and what guards it there (`state:`, `snapshots:`, `encryption:`, `journal:` and `heads:` in the settings). Pure: it is
written and read elsewhere. How long it is kept is `gateway/retention.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from gateway import redis_place
from gateway.addresses import encrypted_url
from gateway.documents import Section, placed
from gateway.key_source import KeySource


class StateStore(Section):
    """A Redis or Valkey server that several machines share."""

    url: Annotated[str, Field(description="redis://[user@]host:6379/0?prefix=th; rediss:// for TLS")]
    password: Annotated[KeySource | None, Field(description="where the password is; none = the server wants none")] = None
    ca: Annotated[
        str | None,
        Field(min_length=1, description="file with the certificate of the authority behind rediss://; none = those this machine trusts"),
    ] = None

    @field_validator("url")
    @classmethod
    def a_server(cls, value: str) -> str:
        redis_place.parse(value)
        return value

    @model_validator(mode="after")
    def an_authority_is_asked_by_tls(self) -> Self:
        if self.ca is not None and not redis_place.parse(self.url).tls:
            raise placed("'ca' is for rediss://, and redis:// is no TLS; write rediss://, or take 'ca' out", "ca")
        return self


class Snapshots(Section):
    """Copies of the book for tools that open files (`<data>/snapshots/latest.duckdb`)."""

    every: Annotated[float, Field(ge=0, description="seconds between two; 0 = only when asked for")] = 0
    keep: Annotated[int, Field(ge=1, le=100, description="how many stay")] = 2


class Encryption(Section):
    """Content at rest is encrypted under a key per tenant and user; these master keys protect those."""

    keys: Annotated[
        KeySource,
        Field(description="where the master keys are: one per line, 32 bytes in base64, the one for new data keys first"),
    ]


class JournalSettings(Section):
    """Bounds on the journal."""

    max_bytes: Annotated[
        int | None,
        Field(ge=1024 * 1024, description="all segments together; beyond it requests are answered 503 until there is room; none = no cap"),
    ] = None


class Heads(Section):
    """A second place for the signed heads of the journal's chains: without one, whoever owns this machine can rewrite everything."""

    to: Annotated[
        str | None, Field(description="stdout, file:/path (on another machine's disk), or s3://bucket/prefix; none = only here")
    ] = None
    endpoint: Annotated[str | None, Field(description="URL of an S3-compatible service; none = Amazon's")] = None
    region: Annotated[str | None, Field(description="region of the bucket; none = what the environment says")] = None

    @field_validator("to")
    @classmethod
    def a_place(cls, value: str | None) -> str | None:
        if value is None or value == "stdout" or re.fullmatch(r"file:/.+|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?", value):
            return value
        raise ValueError(f"'{value}' is no place for heads; write stdout, file:/path or s3://bucket/prefix")

    @field_validator("endpoint")
    @classmethod
    def encrypted(cls, value: str | None) -> str | None:
        return value if value is None else encrypted_url(value)

    @model_validator(mode="after")
    def s3_only(self) -> Self:
        if (self.endpoint or self.region) and not (self.to or "").startswith("s3://"):
            raise ValueError("'endpoint' and 'region' belong to a place that begins with s3://")
        return self
