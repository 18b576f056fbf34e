"""What leaves the book as OpenTelemetry, and where to (`telemetry:` in the settings). Sent by the book and never by a worker.

What the file does not say, OpenTelemetry's own variables do (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …): those that decide
whether and how much is told are taken into the settings once, at the start; the rest (headers, time-outs, certificates, batch sizes,
`OTEL_SERVICE_NAME`) is read by OpenTelemetry's SDK itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.addresses import is_loopback
from gateway.documents import Section
from gateway.errors import StartError
from gateway.key_source import KeySource

Protocol = Literal["http/protobuf", "grpc"]
Signal = Literal["traces", "metrics"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics")
_OTLP_HEADERS = frozenset(f"OTEL_EXPORTER_OTLP_{signal}HEADERS" for signal in ("", "TRACES_", "METRICS_", "LOGS_"))
_SAMPLERS = {
    "always_on": 1.0, "parentbased_always_on": 1.0, "always_off": 0.0, "parentbased_always_off": 0.0,
    "traceidratio": None, "parentbased_traceidratio": None,
}  # fmt: skip
"""`OTEL_TRACES_SAMPLER` → the share; None: `OTEL_TRACES_SAMPLER_ARG` says. What a client decided about its trace counts in all of them."""


class Telemetry(Section):
    """Spans and metrics to a collector; metrics at `/metrics` of the admin plane in any case."""

    endpoint: Annotated[
        str | None, Field(description="OTLP collector: http(s)://host:4318, for grpc http(s)://host:4317; none = nothing is sent")
    ] = None
    protocol: Annotated[Protocol | None, Field(description="how it is spoken to; none = http/protobuf")] = None
    headers: Annotated[
        dict[str, KeySource], Field(description="headers for the collector, each from a variable or a file: {authorization: {env: NAME}}")
    ] = Field(default_factory=dict)
    allow_http: Annotated[bool, Field(description="permit headers and content over http:// to another machine")] = False
    traces: Annotated[bool | None, Field(description="send spans; none = where there is an endpoint")] = None
    metrics: Annotated[bool | None, Field(description="send metrics; none = where there is an endpoint")] = None
    sample: Annotated[
        float | None, Field(ge=0, le=1, description="share of traces that are sent; what a client says of its own trace counts first")
    ] = None
    content: Annotated[
        bool, Field(description="messages and arguments too, as far as the book keeps them legible (storing, encryption)")
    ] = False
    propagate: Annotated[bool, Field(description="tell the provider the trace (traceparent)")] = True
    scrape_token: Annotated[
        KeySource | None,
        Field(description="a token that opens /metrics of the admin plane and nothing else; none = people's own, the admin token"),
    ] = None

    @field_validator("endpoint")
    @classmethod
    def a_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL, for example http://127.0.0.1:4318")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must not hold a user name, password, query or fragment; what the collector wants belongs into 'headers'")
        return value.rstrip("/")

    @model_validator(mode="after")
    def encrypted_unless_local(self) -> Self:
        parts = urlsplit(self.endpoint or "")
        if (self.headers or self.content) and parts.scheme == "http" and not (self.allow_http or is_loopback(parts.hostname or "")):
            raise ValueError("http:// to another machine sends headers and content in clear text; use https:// or set allow_http: true")
        return self

    @model_validator(mode="after")
    def a_place_for_what_is_sent(self) -> Self:
        if self.headers and self.endpoint is None:
            raise ValueError("'headers' are for a collector; name it with 'endpoint'")
        return self

    def secret_headers(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Raises StartError for a secret that is not there."""
        found = {}
        for name, source in self.headers.items():
            value = source.read(environment)
            if value is None:
                raise StartError(f"telemetry.headers: the variable {source.env} for '{name}' is not set; set it, or take the header out")
            found[name.lower()] = value
        return found

    def secret_scrape_token(self, environment: Mapping[str, str]) -> str:
        """Empty where there is none. Raises StartError."""
        if self.scrape_token is None:
            return ""
        value = self.scrape_token.read(environment)
        if value is None:
            raise StartError(f"telemetry.scrape_token: the variable {self.scrape_token.env} is not set; set it, or take the line out")
        return value

    def secrets(self, environment: Mapping[str, str]) -> list[str]:
        """What may be in no log: headers of ours and of OpenTelemetry's variables, whole and by words (`Bearer …`). Raises StartError."""
        named = [value for name, value in environment.items() if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS")]
        given = [unquote(pair.partition("=")[2]) for value in named for pair in value.split(",")]
        found = [*self.secret_headers(environment).values(), *given, self.secret_scrape_token(environment)]
        return [part for value in found for part in (value, *value.split()) if part]

    @property
    def secret_variables(self) -> frozenset[str]:
        """Names of those that only the book needs to know."""
        sources = (*self.headers.values(), *([self.scrape_token] if self.scrape_token else []))
        return frozenset(source.env for source in sources if source.env) | _OTLP_HEADERS

    @property
    def records_spans(self) -> bool:
        return bool(self.traces)

    @property
    def share(self) -> float:
        return 1.0 if self.sample is None else self.sample

    def with_environment(self, environment: Mapping[str, str]) -> Self:
        """Every choice made: by these settings, else by OpenTelemetry's variables. Raises StartError."""
        if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return self.model_copy(update={"traces": False, "metrics": False})
        sent = [signal for signal in SIGNALS if self._sends(signal, environment)]
        for signal in sent:
            self.spoken(signal, environment)
        chosen: dict[str, Any] = dict.fromkeys(sent, True)
        if self.sample is None and "OTEL_TRACES_SAMPLER" in environment:
            chosen["sample"] = _share(environment)
        return self.model_copy(update=chosen) if chosen else self

    def spoken(self, signal: Signal, environment: Mapping[str, str]) -> Protocol:
        """How the collector of a signal is spoken to. Raises StartError."""
        return self.protocol or _protocol(signal, environment)

    def collectors(self, environment: Mapping[str, str]) -> list[str]:
        """URLs to which signals go, after `with_environment`; each once."""
        named = [self.endpoint or _of(signal, "ENDPOINT", environment) for signal in SIGNALS if getattr(self, signal)]
        return list(dict.fromkeys(each for each in named if each))

    def _sends(self, signal: Signal, environment: Mapping[str, str]) -> bool:
        wanted: bool | None = getattr(self, signal)
        named = self.endpoint or _of(signal, "ENDPOINT", environment)
        if wanted and not named:
            raise StartError(f"telemetry.{signal} is on and no collector is named; set telemetry.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT")
        if wanted is not None:
            return wanted
        exporter = environment.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
        return bool(named) and "otlp" in [each.strip() for each in exporter.split(",")]


def _of(signal: Signal, what: str, environment: Mapping[str, str]) -> str | None:
    """OpenTelemetry's variable for a signal, else the one for all."""
    return environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}") or environment.get(f"OTEL_EXPORTER_OTLP_{what}") or None


def _protocol(signal: Signal, environment: Mapping[str, str]) -> Protocol:
    named = _of(signal, "PROTOCOL", environment) or "http/protobuf"
    if named not in ("http/protobuf", "grpc"):
        raise StartError(f"OTEL_EXPORTER_OTLP_PROTOCOL is '{named}' for {signal}; there are http/protobuf and grpc")
    return "grpc" if named == "grpc" else "http/protobuf"


def _share(environment: Mapping[str, str]) -> float:
    sampler = environment["OTEL_TRACES_SAMPLER"]
    if sampler not in _SAMPLERS:
        raise StartError(f"OTEL_TRACES_SAMPLER is '{sampler}'; there are {', '.join(_SAMPLERS)}")
    fixed, given = _SAMPLERS[sampler], environment.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    if fixed is not None:
        return fixed
    try:
        share = float(given)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise StartError(f"OTEL_TRACES_SAMPLER_ARG is '{given}'; write a share from 0 to 1, for example 0.1")
    return share
