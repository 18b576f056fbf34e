"""The instruments, by OpenTelemetry's SDK: read at `/metrics`, and sent by OTLP where the settings say so.

`gen_ai.client.*` are the conventions' (semantic-conventions-genai 1.42.0, development), `tollhouse.*` our own. All count since the book was
started, as Prometheus wants it; sums for any span of time are the ledger's business.

Labels are few whatever clients send: never a session, a user, a tool's or an exchange's name. Names that people write (agents, upstreams,
rules) or that a provider has confirmed (models) are labels, at most `MOST_VALUES` of each kind; what comes after is `_other`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.metrics import CallbackOptions, Counter, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource

from gateway import __version__
from gateway.trace import otel
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow
from gateway.trace.people_rows import ApprovalRow
from gateway.verdict import Ran

MOST_VALUES = 200
OTHER = "_other"
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""The conventions' own boundaries."""
SHORT = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
"""For what the gateway takes itself."""
Labels = dict[str, str | bool]
Reading = Callable[[], Iterable[tuple[float, Mapping[str, str]]]]
"""(value, labels) as they are now."""


class Watched:
    """What is looked up when somebody asks: name → (what it is, unit, whether it only grows, how to read it)."""

    def __init__(self) -> None:
        self.gauges: dict[str, tuple[str, str, bool, Reading]] = {}

    def add(self, name: str, about: str, unit: str, read: Reading, *, grows: bool = False) -> None:
        self.gauges[name] = (about, unit, grows, read)


class Metrics:
    """From one thread, but for what is watched. Counts are gathered until `flush`."""

    def __init__(self, readers: Sequence[MetricReader], resource: Resource, watched: Watched) -> None:
        self._provider = MeterProvider(
            metric_readers=readers, resource=resource, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter()
        )
        self._known: dict[str, set[str]] = {}
        self._counted: dict[tuple[Counter, tuple[tuple[str, str | bool], ...]], float] = {}
        meter = self._provider.get_meter("tollhouse", __version__, otel.SCHEMA_URL)
        seconds, tokens, short = list(SECONDS), list(TOKENS), list(SHORT)
        histogram, counter = meter.create_histogram, meter.create_counter
        self._duration = histogram(
            "gen_ai.client.operation.duration", "s", "GenAI operation duration.", explicit_bucket_boundaries_advisory=seconds
        )
        self._tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", explicit_bucket_boundaries_advisory=tokens
        )
        self._first = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=seconds,
        )  # fmt: skip
        self._upstream = histogram(
            "tollhouse.upstream.duration", "s", "From asking a provider to its first byte.", explicit_bucket_boundaries_advisory=seconds
        )
        self._overhead = histogram(
            "tollhouse.overhead.duration", "s", "The gateway's own time until the first byte of an answer left.",
            explicit_bucket_boundaries_advisory=short,
        )  # fmt: skip
        self._judgement = histogram(
            "tollhouse.judgement.duration", "s", "The judgement over one call.", explicit_bucket_boundaries_advisory=short
        )
        self._exchanges = counter("tollhouse.exchanges", "{exchange}", "Requests that ended.")
        self._cost = counter("tollhouse.cost", "{USD}", "What answers cost, where that is known.")
        self._unpriced = counter("tollhouse.unpriced", "{exchange}", "Answers of which nobody knows what they cost.")
        self._unevaluated = counter("tollhouse.unevaluated", "{exchange}", "Exchanges in which something was not judged.")
        self._refused = counter("tollhouse.budget.refusals", "{exchange}", "Requests that a budget refused.")
        self._calls = counter("tollhouse.calls", "{call}", "Proposed calls, by the verdict over them.")
        self._hits = counter("tollhouse.rule.hits", "{hit}", "Rules that spoke about a call or a text.")
        self._validations = counter("tollhouse.validations", "{validation}", "What came of asking validators.")
        self._approvals = counter("tollhouse.approval.changes", "{approval}", "Calls that waited for a person, by what became of them.")
        self._watch(watched)

    def _watch(self, watched: Watched) -> None:
        meter = self._provider.get_meter("tollhouse", __version__, otel.SCHEMA_URL)
        for name, (about, unit, grows, read) in watched.gauges.items():
            make = meter.create_observable_counter if grows else meter.create_observable_gauge
            make(name, [_observing(read)], unit, about)

    def exchange(self, row: ExchangeRow) -> None:
        agent = self._bounded("agent", row.agent)
        failed = otel.failure(row)
        own: Labels = {"gen_ai.agent.name": agent, "tollhouse.dialect": row.dialect, "tollhouse.state": row.state}
        self._count(self._exchanges, 1, own | ({"error.type": self._bounded("error", failed)} if failed else {}))
        self._count(self._refused, int(row.error_code == "budget_exceeded"), {"gen_ai.agent.name": agent})
        self._count(self._unevaluated, int(bool(row.unevaluated)), {"gen_ai.agent.name": agent})
        self._overhead.record(row.overhead_us / 1e6, {"tollhouse.dialect": row.dialect})
        for look in row.looked.split():
            self._validated(look.partition("/")[0], "passed")
        if row.upstream is not None:
            self._asked(row, agent, failed)

    def _asked(self, row: ExchangeRow, agent: str, failed: str | None) -> None:
        """A provider was asked."""
        self._upstream.record(row.upstream_us / 1e6, {"tollhouse.upstream": self._bounded("upstream", row.upstream or "")})
        if row.operation not in otel.INFERENCE:
            return
        about: Labels = {
            "gen_ai.operation.name": row.operation,
            "gen_ai.provider.name": row.provider,
            "gen_ai.request.model": self._model(row),
        }
        self._duration.record(row.duration_us / 1e6, about | ({"error.type": self._bounded("error", failed)} if failed else {}))
        if row.stream and row.first_byte_us is not None:
            self._first.record(row.first_byte_us / 1e6, about)
        for kind, count in (("input", otel.input_tokens(row)), ("output", otel.output_tokens(row))):
            if count is not None:
                self._tokens.record(count, about | {"gen_ai.token.type": kind})
        paid = about | {"gen_ai.agent.name": agent}
        if row.cost is not None:
            self._count(self._cost, float(row.cost), paid)
        self._count(self._unpriced, int(row.cost is None and row.state in ("complete", "denied")), paid)

    def _model(self, row: ExchangeRow) -> str:
        """A name counts when the provider took it: clients may write anything."""
        return self._bounded("model", row.request_model) if row.upstream_status is not None and row.upstream_status < 300 else OTHER

    def call(self, row: CallRow) -> None:
        agent = self._bounded("agent", row.agent)
        self._count(self._calls, 1, {"gen_ai.agent.name": agent, "tollhouse.verdict": row.effect, "tollhouse.released": row.released})
        self._judgement.record(row.judged_us / 1e6)
        for hit in row.hits:
            self._hit(hit.policy, hit.rule, hit.effect, hit.mode)

    def heard(self, row: HeardRow) -> None:
        self._hit(row.policy, row.rule, row.effect, row.mode)

    def _hit(self, policy: str, rule: str, effect: str, mode: str) -> None:
        named = self._bounded("rule", f"{policy}/{rule}")
        self._count(self._hits, 1, {"tollhouse.rule": named, "tollhouse.verdict": effect, "tollhouse.mode": mode})

    def ran(self, each: Ran) -> None:
        self._validated(each.validator, each.outcome)

    def _validated(self, validator: str, outcome: str) -> None:
        self._count(self._validations, 1, {"tollhouse.validator": self._bounded("validator", validator), "tollhouse.outcome": outcome})

    def approval(self, row: ApprovalRow) -> None:
        self._count(self._approvals, 1, {"tollhouse.state": row.state})

    def flush(self) -> None:
        """What was counted since the last time is in the instruments when this returns."""
        counted, self._counted = self._counted, {}
        for (instrument, labels), amount in counted.items():
            instrument.add(amount, dict(labels))

    def _count(self, instrument: Counter, amount: float, labels: Labels) -> None:
        """Handing every count to the SDK by itself would cost as much as the book's own work."""
        key = (instrument, tuple(labels.items()))
        self._counted[key] = self._counted.get(key, 0) + amount

    def close(self) -> None:
        self._provider.shutdown()

    def _bounded(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= MOST_VALUES:
            return OTHER
        known.add(value)
        return value


def _observing(read: Reading) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(value, dict(labels)) for value, labels in read()]
