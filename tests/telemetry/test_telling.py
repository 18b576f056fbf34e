"""The thread that tells: what becomes a span or a number, what is too late, too much or broken, and that nobody waits for it."""

from __future__ import annotations

import datetime as dt
import threading
import time

import msgspec
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.stores import Applied, Batch, Refused
from gateway.telemetry import telling
from gateway.telemetry.metrics import MOST_VALUES, OTHER, Metrics, Watched
from gateway.telemetry.sending import Sender
from gateway.telemetry.telling import Telling
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow
from gateway.trace.people_rows import ApprovalRow
from gateway.trace.record import ApprovalChanged, Ended, Judged
from gateway.trace.segments import Segment
from gateway.verdict import Ran, RuleHit
from tests.patience import PATIENCE_S

NOW = 1_795_262_400_000_000
ROW = ExchangeRow(
    id="x", started_us=NOW - 5_000_000, dialect="openai.chat", provider="openai", operation="chat", route="/v1", agent="bot", session="s",
    request_model="m", state="complete", duration_us=1_000_000, upstream="up", upstream_status=200, input_tokens=10, output_tokens=2,
    looked="card/1",
)  # fmt: skip
CALL = CallRow(
    exchange_id="x", id="dec_x", decided_us=NOW - 4_500_000, index=0, call_id="c", name="pay", type="function", arguments="{}",
    arguments_hash="h", effect="allow", released=True, code="granted", reason="", agent="bot", judged_us=30,
    hits=(RuleHit("p", "r", "allow"),),
)  # fmt: skip


def changed(row, **fields):
    return msgspec.structs.replace(row, **fields)


def batch(*records):
    return [Batch(Segment("r", 0, "b", 0), [(at, record) for at, record in enumerate(records)], len(records), None)]


def applied(*rows, calls=(), interrupted=()):
    return Applied(len(rows) + len(calls), rows, calls, interrupted)


class Told:
    """A thread that tells, and what it told."""

    def __init__(self, fetch=lambda sql, params: (), **more) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        resource = Resource({})
        self.metrics = Metrics([self.reader], resource, Watched())
        self.sender = Sender(self.exporter)
        self.telling = Telling(self.metrics, self.sender, fetch, lambda: NOW, resource=resource, **more)
        self.telling.start()

    def end(self) -> list:
        self.telling.close(10)
        self.sender.close()
        return list(self.exporter.get_finished_spans())

    def numbers(self) -> dict[str, dict[tuple, float]]:
        """Metric → labels → value."""
        found: dict[str, dict[tuple, float]] = {}
        data = self.reader.get_metrics_data()
        for metric in [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]:
            for point in metric.data.data_points:
                count = point.value if hasattr(point, "value") else point.count
                found.setdefault(metric.name, {})[tuple(sorted(point.attributes.items()))] = count
        return found

    def sum(self, name: str) -> float:
        return sum(self.numbers().get(name, {}).values())


def test_calls_are_told_with_their_exchange_however_they_arrive():
    told = Told()
    told.telling.tell(applied(calls=[CALL]), [])
    told.telling.tell(applied(changed(ROW, calls=2), calls=[changed(CALL, id="dec_y")]), [])
    spans = told.end()
    assert [span.name for span in spans] == ["chat m", "execute_tool pay", "execute_tool pay"]
    assert {span.parent.span_id for span in spans[1:]} == {spans[0].context.span_id}


AT = dt.datetime(2026, 11, 21, 11, 59, 56)  # noqa: DTZ001 - as the ledger gives them


def ledger(sql, params):
    """Has one call of `x`, and the exchange `lost`."""
    if "FROM calls" in sql:
        return [{**msgspec.structs.asdict(CALL), "decided_at": AT, "hits": None} for name in params["ids"] if name == "x"]
    lost = msgspec.structs.asdict(changed(ROW, id="lost", state="interrupted"))
    return [{**lost, "started_at": AT} for name in params["ids"] if name == "lost"]


def test_calls_of_before_a_restart_and_interrupted_exchanges_are_asked_of_the_ledger():
    told = Told(fetch=ledger)
    told.telling.tell(applied(changed(ROW, calls=1), interrupted=["lost"]), [])
    spans = told.end()
    assert sorted(span.name for span in spans) == ["chat m", "chat m", "execute_tool pay", "invoke_agent bot"]
    assert {span.status.description for span in spans} == {None, "interrupted"}
    assert told.telling.lost == {}


def test_a_ledger_that_refuses_costs_what_it_would_have_said_and_nothing_else():
    def refusing(sql, params):
        raise Refused("unavailable", "not now")

    told = Told(fetch=refusing)
    told.telling.tell(applied(changed(ROW, calls=1), interrupted=["lost"]), [])
    assert [span.name for span in told.end()] == ["chat m"]


def test_what_is_old_is_no_news():
    told = Told()
    old = changed(ROW, started_us=NOW - telling.STALE_US - 2_000_000)
    opinion = Judged("x", old.started_us, "bot", (Ran("v", "1"),))
    told.telling.tell(applied(old, calls=[changed(CALL, decided_us=old.started_us)]), batch(opinion))
    told.telling.tell(applied(ROW), [])
    assert [span.name for span in told.end()] == ["chat m", "invoke_agent bot"]
    assert told.telling.lost == {"stale": 1}
    assert (told.sum("tollhouse.exchanges"), told.sum("tollhouse.calls"), told.sum("tollhouse.validations")) == (1, 0, 1)


def test_what_does_not_fit_is_left_out_and_counted_and_nobody_waits(monkeypatch):
    busy = threading.Event()
    monkeypatch.setattr(telling, "MOST_RECORDS", 10)
    told = Told(shown=lambda exchange: busy.wait(PATIENCE_S) and None)
    before = time.monotonic()
    for _ in range(30):
        told.telling.tell(applied(ROW), [])
    assert time.monotonic() - before < 10
    busy.set()
    spans = told.end()
    assert told.telling.lost["backlog"] == 20
    assert sum(span.name == "chat m" for span in spans) == 10


def test_a_fault_ends_nothing():
    def broken(exchange):
        if exchange == "bad":
            raise RuntimeError("broken")

    told = Told(shown=broken)
    told.telling.tell(applied(changed(ROW, id="bad")), [])
    told.telling.tell(applied(ROW), [])
    assert [span.name for span in told.end() if span.name.startswith("chat")] == ["chat m"]
    assert told.telling.lost == {"fault": 1}


def test_what_was_said_is_told_where_it_is_legible_and_wanted():
    body = '{"role":"user","content":"hello Ada"}'
    found = {"exchange": {"request_messages": ["h"], "finish_reasons": ["stop"]}, "messages": [{"body": body}],
             "answer": {"body": '{"role":"assistant","content":"hi","calls":[{"id":"c","name":"pay","arguments":"{}"}]}'}}  # fmt: skip
    told = Told(shown=lambda exchange: found if exchange == "x" else {**found, "messages": [{"body": "enc:1:k:00"}]})
    told.telling.tell(applied(changed(ROW, calls=1), changed(ROW, id="sealed"), calls=[CALL]), [])
    said, call, sealed = (span.attributes for span in told.end()[:3])
    assert msgspec.json.decode(said["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "hello Ada"}]}]
    (output,) = msgspec.json.decode(said["gen_ai.output.messages"])
    assert (output["finish_reason"], [part["type"] for part in output["parts"]]) == ("stop", ["text", "tool_call"])
    assert call["gen_ai.tool.call.arguments"] == "{}"
    assert "gen_ai.input.messages" not in sealed


def test_traces_are_sampled_and_numbers_are_not():
    told = Told(share=0.0)
    told.telling.tell(applied(ROW, changed(ROW, id="y", trace_id="1" * 32, trace_sampled=True, calls=1), calls=[CALL]), [])
    assert [span.name for span in told.end()] == ["chat m"]
    assert told.sum("tollhouse.exchanges") == 2


def test_numbers_are_what_was_applied():
    told = Told()
    refused = changed(ROW, id="r", state="rejected", error_code="budget_exceeded", upstream=None, unevaluated=("why",))
    heard = HeardRow("x", NOW, "output", "answer", "p", "o", "warn", "enforce")
    record = Ended(ROW, ran=(Ran("secret", "1"),), heard=(heard,))
    later = Judged("x", NOW, "bot", (Ran("judge", "1", outcome="hit"),), heard=(heard,))
    approval = ApprovalChanged(ApprovalRow("apr_1", 1, "approved", NOW, NOW, "bot"))
    told.telling.tell(applied(ROW, changed(ROW, id="paid", cost="0.25", stream=True, first_byte_us=5), refused, calls=[CALL]),
                      batch(record, later, approval))  # fmt: skip
    told.end()
    expected = {
        "tollhouse.exchanges": 3, "tollhouse.calls": 1, "tollhouse.cost": 0.25, "tollhouse.unpriced": 1, "tollhouse.unevaluated": 1,
        "tollhouse.budget.refusals": 1, "tollhouse.rule.hits": 3, "tollhouse.validations": 5, "tollhouse.approval.changes": 1,
        "gen_ai.client.operation.duration": 2, "gen_ai.client.token.usage": 4, "gen_ai.client.operation.time_to_first_chunk": 1,
        "tollhouse.upstream.duration": 2, "tollhouse.overhead.duration": 3, "tollhouse.judgement.duration": 1,
    }  # fmt: skip
    assert {name: told.sum(name) for name in expected} == expected
    assert set(told.numbers()) == set(expected)


def test_labels_stay_few_whatever_clients_send():
    told = Told()
    for number in range(1000):
        row = changed(
            ROW, id=f"x{number}", agent=f"agent {number}", session=f"s{number}", user=f"u{number}", request_model=f"model {number}",
            upstream_status=200 if number % 2 else 404, state="upstream_error", error_code=f"code {number}", upstream=f"up {number}",
        )  # fmt: skip
        hits = (RuleHit("p", f"r{number}", "deny"),)
        call = changed(CALL, id=f"d{number}", exchange_id=row.id, name=f"tool {number}", agent=row.agent, hits=hits)
        told.telling.tell(applied(row, calls=[call]), [])
    told.telling.close(20)
    numbers = told.numbers()
    for name, values in numbers.items():
        assert len(values) <= (MOST_VALUES + 1) * 4, name
        for label in {label for labels in values for label, _ in labels}:
            assert len({dict(labels).get(label) for labels in values}) <= MOST_VALUES + 1, (name, label)
    models = {dict(labels)["gen_ai.request.model"] for labels in numbers["gen_ai.client.operation.duration"]}
    assert OTHER in models
    assert "model 0" not in models
    assert "tool 1" not in repr(numbers)
    assert "s1'" not in repr(numbers)


class Refusing(InMemorySpanExporter):
    def export(self, spans):
        return SpanExportResult.FAILURE


class Stuck(InMemorySpanExporter):
    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def export(self, spans):
        self.free.wait(PATIENCE_S)
        return super().export(spans)


SPAN = telling.readable(telling.otel.exchange(ROW), Resource({}))


def test_every_span_is_sent_or_counted(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    exporter = Stuck()
    sender = Sender(exporter)
    before = time.monotonic()
    for _ in range(50):
        sender.hand(SPAN)
    assert time.monotonic() - before < 10
    assert sender.lost["full"] >= 50 - 8 - 4
    exporter.free.set()
    sender.close()
    assert sender.sent == len(exporter.get_finished_spans())
    assert sender.sent + sender.lost.total() == 50


def test_what_a_collector_does_not_take_is_counted():
    sender = Sender(Refusing())
    sender.hand(SPAN)
    sender.close()
    assert (sender.sent, sender.lost) == (0, {"failed": 1})


def test_a_collector_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("gateway.telemetry.sending.GOODBYE_S", 0.2)
    exporter = Stuck()
    sender = Sender(exporter)
    sender.hand(SPAN)
    before = time.monotonic()
    sender.close()
    assert time.monotonic() - before < 20
    exporter.free.set()
