"""The settings of one installation: `tollhouse.yaml`, the environment, and what follows from them.

Precedence: command-line flag > `TOLLHOUSE_*` variable > `.env` beside the file > `tollhouse.yaml` > default. Provider keys are never *in*
the settings: a setting names the variable or file that holds one, so that settings can be printed, stored and passed to workers.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway import redis_place
from gateway.budget_settings import Budget
from gateway.cache_settings import Cache
from gateway.documents import complaints, nearest, placed
from gateway.documents import load as load_document
from gateway.errors import FileProblems, Problem, StartError
from gateway.exchange import Storing
from gateway.key_source import KeySource as KeySource
from gateway.key_source import hidden, hidden_words
from gateway.ledger_place import EMBEDDED, lake_place
from gateway.people.issuers import Issuer
from gateway.platform_settings import Platform
from gateway.redis_place import Place
from gateway.retention import DAY_US, Compliance, Cutoffs, Retention
from gateway.route_settings import Route
from gateway.telemetry_settings import Telemetry

DialectName = Literal["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]

DEFAULT_FILE = "tollhouse.yaml"
PROVIDERS: dict[str, tuple[tuple[DialectName, ...], str, str]] = {
    "openai": (("openai.chat", "openai.responses"), "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": (("anthropic.messages",), "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "google": (("google.gemini",), "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
}
"""Upstreams that need no configuration: name -> (dialects, base URL, variable with the key)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True)  # may be a secret


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether binding to `host` reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(authority: str) -> str:
    """The host of a `Host` header: without port and brackets, lower case."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()


class Address(_Strict):
    """Where a listener binds."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        return f"[{self.reached}]:{self.port}" if ":" in self.reached else f"{self.reached}:{self.port}"

    @property
    def reached(self) -> str:
        """The host that is connected to from here."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


@lru_cache(64)
def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or a bare port (on 127.0.0.1). Raises ValueError saying what is expected."""
    host, _, port = text.strip().rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"'{text}' is no address; write host:port, for example 127.0.0.1:8484")
    return Address(host=host.strip("[]") or "127.0.0.1", port=int(port))


class Upstream(_Strict):
    """A provider, or anything that speaks a provider's dialect."""

    dialect: Annotated[
        DialectName | list[DialectName], Field(description="wire format the provider speaks; a list where it speaks several")
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

    @model_validator(mode="after")
    def served_by_its_platform(self) -> Self:
        if self.platform is None:
            return self
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
    def spoken(self) -> tuple[str, ...]:
        """In which it is really asked: a platform may have a dialect of its own for one of `dialects`."""
        return self.dialects if self.platform is None else self.platform.spoken(self.dialects)

    @field_validator("base_url")
    @classmethod
    def plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must not hold a user name, password, query or fragment")
        return value.rstrip("/")

    @model_validator(mode="after")
    def encrypted_unless_local(self) -> Self:
        parts = urlsplit(self.base_url)
        if parts.scheme == "http" and not (self.allow_http or is_loopback(parts.hostname or "")):
            raise ValueError(
                "http:// to another machine sends the key in clear text; use https:// or set allow_http: true"
            )
        return self


class PassThrough(_Strict):
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


class StateStore(_Strict):
    """A Redis or Valkey server that several machines share."""

    url: Annotated[str, Field(description="redis://[user@]host:6379/0?prefix=th; rediss:// for TLS")]
    password: Annotated[KeySource | None, Field(description="where the password is; none = the server wants none")] = None
    ca: Annotated[
        str | None, Field(description="file with the certificate of the authority behind rediss://; none = those this machine trusts")
    ] = None

    @field_validator("url")
    @classmethod
    def a_server(cls, value: str) -> str:
        redis_place.parse(value)
        return value


class Limits(_Strict):
    """Bounds on what clients and providers may send."""

    body_bytes: Annotated[int, Field(gt=0, description="request body")] = 32 * 1024 * 1024
    objects: Annotated[int, Field(gt=0, description="arrays, objects and members in a request body over 128 KiB")] = 100_000
    values: Annotated[int, Field(gt=0, description="values in a request body over 128 KiB")] = 500_000
    answer_bytes: Annotated[int, Field(gt=0, description="whole (not streamed) answer")] = 32 * 1024 * 1024
    header_bytes: Annotated[int, Field(gt=0, description="all request headers together")] = 32 * 1024
    headers: Annotated[int, Field(gt=0, description="number of request headers")] = 100
    url_bytes: Annotated[int, Field(gt=0, description="request target")] = 8 * 1024
    call_bytes: Annotated[int, Field(gt=0, description="arguments of one tool call")] = 64 * 1024
    hold_bytes: Annotated[int, Field(gt=0, description="held bytes of one answer")] = 1024 * 1024
    calls: Annotated[int, Field(gt=0, description="tool calls in one answer")] = 64
    connections: Annotated[int, Field(gt=0, description="open client connections per worker")] = 12_000


class Timeouts(_Strict):
    """Seconds."""

    header: Annotated[float, Field(gt=0, description="from the first byte of a request to the end of its headers")] = 10
    body_idle: Annotated[float, Field(gt=0, description="between two pieces of a request body")] = 30
    body: Annotated[float, Field(gt=0, description="whole request body")] = 300
    keep_alive: Annotated[float, Field(gt=0, description="idle connection between two requests")] = 75
    write: Annotated[float, Field(gt=0, description="a client that takes no bytes of its answer")] = 120
    connect: Annotated[float, Field(gt=0, description="connection to the provider")] = 5
    first_byte: Annotated[float, Field(gt=0, description="provider's response headers")] = 60
    idle: Annotated[float, Field(gt=0, description="between two pieces of the provider's answer")] = 120
    drain: Annotated[float, Field(ge=0, description="for open streams at shutdown")] = 30


class Webhook(_Strict):
    """Whom to tell of calls that wait for a person."""

    url: Annotated[str | KeySource, Field(description="where to POST; {env: NAME} or {file: path} where the URL is a secret")]
    secret: Annotated[
        KeySource | None, Field(description="signs what is sent: HMAC-SHA256 over time and body; format json needs one")
    ] = None
    format: Annotated[Literal["json", "slack"], Field(description="slack = what Slack's incoming webhooks take")] = "json"
    events: Annotated[
        list[Literal["pending", "approved", "denied", "expired", "used", "budget", "experiment", "prompt"]],
        Field(
            min_length=1,
            description="which states are told; budget = that a soft budget is used up, once per window; experiment = that an arm was "
            "halted, promoted or ended; prompt = that a prompt or tool is in use that nobody deployed",
        ),
    ] = Field(default_factory=lambda: ["pending"])  # type: ignore[arg-type]
    arguments: Annotated[bool, Field(description="whether the call's arguments are sent along")] = True

    @field_validator("url")
    @classmethod
    def encrypted(cls, value: str | KeySource) -> str | KeySource:
        return value if isinstance(value, KeySource) else webhook_url(value)

    @model_validator(mode="after")
    def signed_unless_slack(self) -> Self:
        if self.format == "json" and self.secret is None:
            raise ValueError("format json needs a 'secret', so that the receiver can tell who sent it")
        return self


def webhook_url(text: str) -> str:
    """Raises ValueError for what is no https:// URL (http:// is for this machine)."""
    parts = urlsplit(text)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ValueError("must be an https:// URL")
    return text


class Approvals(_Strict):
    """How long calls wait for a person (`effect: ask`). Seconds."""

    hold: Annotated[
        float, Field(ge=0, le=3600, description="how long a streamed answer is held open for a decision; 0 = not at all")
    ] = 240
    hold_whole: Annotated[
        float, Field(ge=0, le=3600, description="the same for an answer in one piece, whose client sees nothing meanwhile")
    ] = 60
    keep_alive: Annotated[float, Field(ge=0.05, le=60, description="between two signs of life in a stream that is held")] = 12
    held: Annotated[int, Field(ge=0, description="answers held at once per worker; more are told at once that approval is pending")] = 256
    pending: Annotated[int, Field(gt=0, description="undecided approvals per agent; more calls are denied")] = 1000
    expires: Annotated[
        float, Field(gt=0, description="how long an approval can be decided, one for a single call be used, and a denial is remembered")
    ] = 3600
    remember: Annotated[float, Field(gt=0, description="how long an approval for the session or the agent is good")] = 30 * 24 * 3600
    webhooks: Annotated[list[Webhook], Field(description="whom to tell")] = Field(default_factory=list)


class Snapshots(_Strict):
    """Copies of the book for tools that open files (`<data>/snapshots/latest.duckdb`)."""

    every: Annotated[float, Field(ge=0, description="seconds between two; 0 = only when asked for")] = 0
    keep: Annotated[int, Field(ge=1, le=100, description="how many stay")] = 2


class Encryption(_Strict):
    """Content at rest is encrypted under a key per tenant and user; these master keys protect those."""

    keys: Annotated[
        KeySource,
        Field(description="where the master keys are: one per line, 32 bytes in base64, the one for new data keys first"),
    ]


class Face(_Strict):
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


class JournalSettings(_Strict):
    """Bounds on the journal."""

    max_bytes: Annotated[
        int | None,
        Field(ge=1024 * 1024, description="all segments together; beyond it requests are answered 503 until there is room; none = no cap"),
    ] = None


class Heads(_Strict):
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
        return value if value is None else webhook_url(value)

    @model_validator(mode="after")
    def s3_only(self) -> Self:
        if (self.endpoint or self.region) and not (self.to or "").startswith("s3://"):
            raise ValueError("'endpoint' and 'region' belong to a place that begins with s3://")
        return self


class Settings(_Strict):
    """One installation. Paths are as written until `resolved` makes them absolute."""

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


def read(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `file` (or defaults), `TOLLHOUSE_*` variables and flags, with absolute paths and, where no upstream is configured, the
    providers whose keys the environment holds. Raises FileProblems for the file, StartError for the rest."""
    settings, folder = (_loaded(file), file.parent) if file else (Settings(), Path())
    changes: dict[str, Any] = {}
    if not settings.upstreams:
        changes["upstreams"] = _from_environment(environment)
    changes |= _overrides(environment, flags or {})
    merged = _merge(settings, changes, flags or {})
    return _resolved(merged, folder).model_copy(update={"telemetry": merged.telemetry.with_environment(environment)})


def _said_as(path: Sequence[str | int], flags: Mapping[str, Any]) -> str:
    """The flag or the variable of the environment that a setting came by; of what comes of several, none."""
    name = str(path[0]) if path else ""
    return f"--{name}: " if flags.get(name) is not None else f"TOLLHOUSE_{name.upper()}: " if name else ""


def _loaded(file: Path) -> Settings:
    """Raises FileProblems; neither they nor the lines that they quote show a secret."""
    written = _bytes(file)
    try:
        return load_document(written, str(file), Settings)
    except FileProblems as found:
        lines = written.decode("utf-8", "replace").splitlines()
        raise FileProblems([_without_secrets(each, lines[: each.line - 1]) for each in found.problems]) from None


def _without_secrets(problem: Problem, lines: Sequence[str]) -> Problem:
    """`lines`: those before its own."""
    before = next((line for line in reversed(lines) if line.strip()), "")
    return replace(problem, message=hidden_words(problem.message), source=hidden(problem.source, before))


def _again(names: Sequence[str]) -> int | None:
    """Of the first that was there before."""
    return next((number for number, name in enumerate(names) if name in names[:number]), None)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise StartError(f"cannot read {file}: {e.strerror}; 'tollhouse init' writes one") from e


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"dialect": list(dialects), "base_url": url, "key": {"env": variable}}
        for name, (dialects, url, variable) in PROVIDERS.items()
        if environment.get(variable)
    }


def _overrides(environment: Mapping[str, str], flags: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        name: environment.get(f"TOLLHOUSE_{name.upper()}")
        for name in ("listen", "admin", "data", "ledger", "policies", "prompts", "keys", "durability", "storing", "state", "log")
    }
    found: dict[str, Any] = {k: v for k, v in named.items() if v}
    workers = environment.get("TOLLHOUSE_WORKERS")
    if workers:
        found["workers"] = int(workers) if workers.isdigit() else workers
    found |= {k: v for k, v in flags.items() if v is not None}
    return found | {k: str(Path(found[k]).expanduser().absolute()) for k in ("data", "policies", "prompts") if k in found}


def _merge(settings: Settings, changes: Mapping[str, Any], flags: Mapping[str, Any]) -> Settings:
    whole = settings.model_dump() | dict(changes)
    try:
        return Settings.model_validate(whole)
    except ValidationError as error:
        told = (f"{_said_as(path, flags)}{hidden_words(each)}" for path, each in complaints(whole, error))
        raise StartError("\n".join(told)) from None


def _resolved(settings: Settings, folder: Path) -> Settings:
    """Paths in the file are relative to the file; everything else to the working directory."""

    def absolute(text: str) -> str:
        return str((folder / Path(text).expanduser()).absolute())

    policies = absolute(settings.policies) if settings.policies else None
    prompts = absolute(settings.prompts) if settings.prompts else None
    queries = absolute(settings.queries) if settings.queries else None
    paths: dict[str, Any] = {"data": absolute(settings.data), "policies": policies, "prompts": prompts, "queries": queries}
    if isinstance(settings.state, StateStore) and settings.state.ca:
        paths["state"] = settings.state.model_copy(update={"ca": absolute(settings.state.ca)})
    return settings.model_copy(update=paths)
