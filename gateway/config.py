"""The settings of one installation: each subject's own from the module named after it, and what has to hold between them.

Provider keys are never *in* the settings: a setting names the variable or file that holds one, so that settings can be printed, stored and
passed to workers. Reading them is `gateway/settings_sources.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway import redis_place
from gateway.addresses import Address, is_loopback, parse_address
from gateway.approval_settings import Approvals
from gateway.budget_settings import Budget
from gateway.cache_settings import Cache
from gateway.documents import Section, nearest, placed
from gateway.exchange import Storing
from gateway.face_settings import Face
from gateway.ledger_place import EMBEDDED, lake_place
from gateway.limit_settings import Limits, Timeouts
from gateway.people.issuers import Issuer
from gateway.redis_place import Place
from gateway.retention import DAY_US, Compliance, Cutoffs, Retention
from gateway.route_settings import Route
from gateway.storage_settings import Encryption, Heads, JournalSettings, Snapshots, StateStore
from gateway.telemetry_settings import Telemetry
from gateway.upstream_settings import DialectName, PassThrough, Upstream

_MEDIA_HOST: Final = re.compile(r"\*|(\*\.|(?!https:)[a-z][a-z0-9+.-]*://)?([a-z0-9._-]+|[0-9a-f:.]+)")
"""As `admission` tells where media are: the host alone is one that is asked by https."""


class Settings(Section):
    """One installation. Paths are as written; whoever reads it from a file makes them absolute."""

    other_words: ClassVar[Mapping[str, str]] = {
        word: key
        for key, words in {
            "upstreams": ("providers", "backends", "model_list"),
            "routes": ("models", "router", "router_settings"),
            "listen": ("port", "host", "bind", "address"),
            "policies": ("guardrails", "rules"),
            "budgets": ("rate_limits", "quotas"),
            "keys": ("auth", "api_keys", "virtual_keys", "master_key"),
            "state": ("redis", "valkey"),
            "ledger": ("database", "db"),
            "telemetry": ("otel", "tracing", "metrics"),
            "log": ("logging", "log_level"),
            "approvals": ("webhooks", "alerts"),
            "issuers": ("oidc", "jwt", "sso"),
        }.items()
        for word in words
    }
    other_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "storing": dict.fromkeys(("none", "off", "nothing", "hashes"), "'metadata'") | dict.fromkeys(("all", "everything"), "'full'"),
        "durability": dict.fromkeys(("fsync", "sync", "strict"), "'commit'") | dict.fromkeys(("async", "none", "off"), "'interval'"),
        "keys": {"true": "'required'", "false": "'optional'", "on": "'required'", "off": "'optional'"},
    }

    tollhouse: Annotated[Literal[1], Field(description="version of this file's format")] = 1
    listen: Annotated[str, Field(description="data plane: where agents connect (host:port)")] = "127.0.0.1:8484"
    admin: Annotated[str, Field(description="admin plane: SQL, tail, health (host:port)")] = "127.0.0.1:8485"
    workers: Annotated[int | Literal["auto"], Field(description="worker processes; auto = one per core")] = "auto"
    data: Annotated[str, Field(description="folder for journal, ledger and state")] = ".tollhouse"
    ledger: Annotated[
        str,
        Field(
            description="duckdb = a file in the data folder · ducklake:postgres:dbname=… host=…;data=/folder or s3://bucket/prefix = "
            "one ledger for several machines, needs the extra tollhouse[fleet]"
        ),
    ] = EMBEDDED
    policies: Annotated[str | None, Field(description="folder with policy files; none = observe only")] = None
    prompts: Annotated[str | None, Field(description="folder with kept prompts (<name>.md) that requests can name; none = none")] = None
    queries: Annotated[str | None, Field(description="folder with saved SQL questions of your own (*.sql), beside the shipped ones")] = None
    keys: Annotated[
        Literal["auto", "required", "optional"],
        Field(description="auto = required off loopback, with shared state, and as soon as one key was ever created"),
    ] = "auto"
    issuers: Annotated[
        list[Issuer], Field(description="who signs for people and agents: OpenID Connect, or any issuer of signed JWTs")
    ] = Field(default_factory=list)
    durability: Annotated[
        Literal["auto", "commit", "interval"],
        Field(
            description="commit = fsync before the answer's first byte; interval = every 200 ms; auto = commit once a policy enforces"
        ),
    ] = "auto"
    storing: Annotated[
        Storing,
        Field(
            description="what is kept of content: full = as sent · redacted = without secrets and personal data · "
            "metadata = sizes and hashes; a key can have its own (tollhouse keys create --store)"
        ),
    ] = "redacted"
    looked_at: Annotated[
        list[str] | None,
        Field(
            description="what every answer is looked through for where no rule says otherwise; told in the book, never withheld: detectors "
            "(secret, card, iban, …) and validators that need no options. Default: secret, card, iban; [] = nothing"
        ),
    ] = None
    encryption: Annotated[Encryption | None, Field(description="encrypts what is kept of content; none = it lies in clear text")] = None
    state: Annotated[
        str | StateStore,
        Field(
            description="where keys, approvals and what limits count are kept: sqlite = in the data folder, for one machine · "
            "redis://host:6379/0?prefix=th = on a Redis or Valkey server, for several; {url, password, ca} where it wants a password"
        ),
    ] = "sqlite"
    upstreams: Annotated[dict[str, Upstream], Field(description="providers by name")] = Field(default_factory=dict)
    routes: Annotated[
        list[Route], Field(description="models to upstreams; none = each dialect to its first upstream")
    ] = Field(default_factory=list)
    allow_fields: Annotated[
        dict[DialectName, list[str]],
        Field(description="request fields nobody judges that are let through nevertheless, per dialect"),
    ] = Field(default_factory=dict)
    pass_through: Annotated[
        list[PassThrough],
        Field(description="routes that are served although nothing on them is judged; each exchange says so on the record"),
    ] = Field(default_factory=list)
    remote_media: Annotated[
        list[str],
        Field(
            description="hosts from which providers may fetch media that messages name by URL: host, *.host, or * for any; "
            "none = media must be sent inline while a policy enforces"
        ),
    ] = Field(default_factory=list)
    price_table: Annotated[
        str | None,
        Field(
            min_length=1,
            description="a price table of your own, a newer one for one: the path of litellm's model_prices_and_context_window.json; "
            "none = the installed litellm's",
        ),
    ] = None
    prices: Annotated[
        dict[str, dict[str, str]],
        Field(
            description="price overrides: model -> {input, output, cache_read, …: USD per million tokens, as text; input_above_200k for "
            "long prompts, input@flex for a service tier; web_search: USD per thousand searches}"
        ),
    ] = Field(default_factory=dict)
    budgets: Annotated[list[Budget], Field(description="how much may be spent by whom in which time")] = Field(default_factory=list)
    cache: Annotated[Cache | None, Field(description="answers given again to the same request; none = every request is sent on")] = None
    limits: Limits = Field(default_factory=Limits)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    approvals: Approvals = Field(default_factory=Approvals)
    snapshots: Snapshots = Field(default_factory=Snapshots)
    face: Face = Field(default_factory=Face)
    retention: Retention = Field(default_factory=Retention)
    compliance: Annotated[
        Compliance, Field(description="eu-ai-act = nothing is kept shorter than 184 days; what is set shorter is refused at start")
    ] = "none"
    journal: JournalSettings = Field(default_factory=JournalSettings)
    heads: Heads = Field(default_factory=Heads)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    log: Annotated[Literal["text", "json"], Field(description="lines on stderr: for people, or one JSON object each")] = "text"

    @field_validator("listen", "admin")
    @classmethod
    def an_address(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("state")
    @classmethod
    def a_state_store(cls, value: str | StateStore) -> str | StateStore:
        if isinstance(value, str) and value != "sqlite":
            redis_place.parse(value)
        return value

    @field_validator("remote_media")
    @classmethod
    def hosts(cls, value: list[str]) -> list[str]:
        if odd := [each for each in value if not _MEDIA_HOST.fullmatch(each.lower())]:
            raise ValueError(
                f"'{odd[0]}' is no host that media come from; write images.example.com, *.example.com, * for any or, where they are not "
                "fetched by https, the scheme before it (gs://bucket)"
            )
        return [each.lower() for each in value]

    @field_validator("ledger")
    @classmethod
    def a_ledger(cls, value: str) -> str:
        lake_place(value)
        return value

    @field_validator("workers")
    @classmethod
    def at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 256:
            raise ValueError("must be from 1 to 256, or auto")
        return value

    @model_validator(mode="after")
    def routes_name_upstreams(self) -> Self:
        for number, route in enumerate(self.routes):
            for name, where in route.named:
                if name not in self.upstreams:
                    offer = nearest(name, self.upstreams) or f" ({', '.join(sorted(self.upstreams)) or 'none is configured'})"
                    raise placed(f"routes name the upstream '{name}', which is not under 'upstreams'{offer}", "routes", number, *where)
        return self

    @model_validator(mode="after")
    def no_upstream_is_this_gateway(self) -> Self:
        """Which would ask itself until nothing is left."""
        here = [address for address in (parse_address(self.listen), parse_address(self.admin)) if address.port]
        for name, upstream in self.upstreams.items():
            parts = urlsplit(upstream.base_url)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            if any(port == own.port and (host == own.host or is_loopback(host)) for own in here):
                raise placed("this is where the gateway itself listens; it would ask itself", "upstreams", name, "base_url")
        return self

    @model_validator(mode="after")
    def pass_through_names_upstreams(self) -> Self:
        for number, each in enumerate(self.pass_through):
            if each.upstream not in self.upstreams:
                offer = nearest(each.upstream, self.upstreams)
                said = f"pass_through names the upstream '{each.upstream}', which is not under 'upstreams'{offer}"
                raise placed(said, "pass_through", number, "upstream")
        return self

    @model_validator(mode="after")
    def issuers_are_told_apart(self) -> Self:
        for what, said in (("name", [each.name for each in self.issuers]), ("issuer", [each.issuer for each in self.issuers])):
            if (number := _again(said)) is not None:
                told = f"two issuers have the same '{what}'; nobody could tell which of them a token is of"
                raise placed(told, "issuers", number, what)
        return self

    @model_validator(mode="after")
    def budgets_have_names_of_their_own(self) -> Self:
        if (number := _again([budget.id for budget in self.budgets])) is not None:
            raise placed(f"two budgets are called '{self.budgets[number].id}'; each needs an id of its own", "budgets", number, "id")
        return self

    @model_validator(mode="after")
    def a_shared_cache_has_a_server(self) -> Self:
        if self.cache is not None and self.cache.store == "redis" and self.state_place is None:
            said = "'cache.store: redis' keeps answers on the server under 'state', where sqlite stands; name a server there"
            raise placed(said, "cache", "store")
        return self

    @model_validator(mode="after")
    def retention_can_be_meant(self) -> Self:
        self.retention.kept_us(self.compliance)
        return self

    @property
    def segment_seconds(self) -> float:
        """How long a journal segment is written: what is taken away is taken by segments, so one must close before its records are old."""
        kept = [span for span in self.retention.kept_us(self.compliance) if span is not None]
        return min(DAY_US, *kept) / 1_000_000 if kept else DAY_US / 1_000_000

    def cutoffs(self, now_us: int) -> Cutoffs:
        """What the book takes away at this time."""
        return self.retention.cutoffs(self.compliance, now_us)

    @property
    def listen_address(self) -> Address:
        return parse_address(self.listen)

    @property
    def admin_address(self) -> Address:
        return parse_address(self.admin)

    @property
    def state_place(self) -> Place | None:
        """The server that keeps the state; None = SQLite in the data folder."""
        url = self.state if isinstance(self.state, str) else self.state.url
        return None if url == "sqlite" else redis_place.parse(url)

    @property
    def data_path(self) -> Path:
        return Path(self.data)

    @property
    def worker_count(self) -> int:
        return (os.cpu_count() or 1) if self.workers == "auto" else self.workers


def _again(names: Sequence[str]) -> int | None:
    """Of the first that was there before."""
    return next((number for number, name in enumerate(names) if name in names[:number]), None)
