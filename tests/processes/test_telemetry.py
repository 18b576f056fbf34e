"""What a running gateway tells OpenTelemetry: spans and metrics to a collector over real HTTP and gRPC sockets, held against the
conventions' own registry; and what happens when that collector hangs."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import promql_parser as promql
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    user_attributes,
)
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.trace import otel, propagation
from tests.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
POLICY = """
policy: 1
id: p
agents: ['*']
on_deny: explain
allow: [look_up]
"""
SCRIPT = """
rehearsal: 1
scenes:
- when: {user_contains: delete}
  turns: [{text: Gone., calls: [{name: delete_all, args: {path: /data/hidden-place}}], usage: {input: 100, output: 20}}]
- when: {user_contains: break}
  turns: [{text: Half of, cut_after: 1}]
- turns:
  - {text: I look., calls: [{name: look_up, args: {city: Hidden-Bern}}], usage: {input: 100, output: 20}}
  - {text: It is sunny., usage: {input: 130, output: 5}}
"""
DIALECTS = ("openai.chat", "openai.responses", "anthropic.messages", "google.gemini")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TOKEN = "Bearer made-up-collector-word"
SCRAPE = "made-up-scrape-word-0123456789"
REGISTRY = {
    value
    for module in (gen_ai_attributes, error_attributes, http_attributes, user_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
TYPES = {
    "gen_ai.request.stream": bool,
    "gen_ai.request.max_tokens": int,
    "gen_ai.request.temperature": float,
    "gen_ai.response.finish_reasons": list,
    "gen_ai.response.time_to_first_chunk": float,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "gen_ai.usage.cache_read.input_tokens": int,
    "gen_ai.usage.cache_creation.input_tokens": int,
    "gen_ai.usage.reasoning.output_tokens": int,
    "gen_ai.evaluation.score.value": float,
    "http.response.status_code": int,
}
"""As the conventions say; all others are text."""


class Taken:
    """What a collector was sent."""

    def __init__(self) -> None:
        self.traces: list[Any] = []
        self.metrics: list[Any] = []
        self.headers: list[dict[str, str]] = []

    @property
    def spans(self) -> list[Span]:
        return [span for each in list(self.traces) for found in each.resource_spans for scope in found.scope_spans for span in scope.spans]

    @property
    def told(self) -> dict[str, Any]:
        """The latest of each metric."""
        return {
            metric.name: metric
            for each in list(self.metrics)
            for found in each.resource_metrics
            for scope in found.scope_metrics
            for metric in scope.metrics
        }


    def points(self, name: str) -> list[Any]:
        metric = self.told.get(name)
        return list(getattr(metric, metric.WhichOneof("data")).data_points) if metric else []


@contextmanager
def over_http():
    taken = Taken()
    kinds = {
        "/v1/traces": (trace_pb.ExportTraceServiceRequest, trace_pb.ExportTraceServiceResponse, taken.traces),
        "/v1/metrics": (metrics_pb.ExportMetricsServiceRequest, metrics_pb.ExportMetricsServiceResponse, taken.metrics),
    }

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked, answered, kept = kinds[self.path]
            kept.append(asked.FromString(self.rfile.read(int(self.headers["content-length"]))))
            taken.headers.append({name.lower(): value for name, value in self.headers.items()})
            body = answered().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield taken, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def over_grpc():
    taken = Taken()

    class Traces(trace_grpc.TraceServiceServicer):
        def Export(self, request, context):
            taken.traces.append(request)
            taken.headers.append(dict(context.invocation_metadata()))
            return trace_pb.ExportTraceServiceResponse()

    class Metrics(metrics_grpc.MetricsServiceServicer):
        def Export(self, request, context):
            taken.metrics.append(request)
            return metrics_pb.ExportMetricsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield taken, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None)


def body(dialect: str, text: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """(path, request)"""
    names, empty = ("look_up", "delete_all"), {"type": "object"}
    match dialect:
        case "openai.chat":
            tools = [{"type": "function", "function": {"name": name, "parameters": empty}} for name in names]
            more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            return "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": text}], "tools": tools, **more}
        case "openai.responses":
            tools = [{"type": "function", "name": name, "parameters": empty} for name in names]
            return "/v1/responses", {"model": "m", "input": text, "store": False, "tools": tools, "stream": stream}
        case "anthropic.messages":
            tools = [{"name": name, "input_schema": empty} for name in names]
            said = [{"role": "user", "content": text}]
            return "/v1/messages", {"model": "m", "max_tokens": 9, "messages": said, "tools": tools, "stream": stream}
        case _:
            tools = [{"functionDeclarations": [{"name": name} for name in names]}]
            how = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/m:{how}", {"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": tools}


def asked(gateway: RunningGateway, key: str, dialect: str, text: str, *, stream: bool = False, **headers: str) -> str:
    """Id of the exchange."""
    path, request = body(dialect, text, stream=stream)
    proof = {"openai": {"authorization": f"Bearer {key}"}, "anthropic": {"x-api-key": key}, "google": {"x-goog-api-key": key}}
    known = {**proof[dialect.partition(".")[0]], "anthropic-version": "2023-06-01", **headers}
    with httpx.stream("POST", gateway.url + path, headers=known, json=request, timeout=30, trust_env=False) as answer:
        try:
            answer.read()
        except httpx.RemoteProtocolError:
            assert text == "break"
    return answer.headers["x-gateway-trace-id"]


def value(of: Any) -> Any:
    which = of.WhichOneof("value")
    return [value(each) for each in of.array_value.values] if which == "array_value" else getattr(of, which)


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: value(each.value) for each in of.attributes}


def started(folder, provider, endpoint, protocol, **more):
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICY)
    headers = {"authorization": {"env": "COLLECTOR"}}
    telemetry = {"endpoint": endpoint, "protocol": protocol, "headers": headers, "scrape_token": {"env": "SCRAPE"}}
    prices = {"m": {"input": "1", "output": "2"}}
    settings = settings_for(provider.base_url, policies="policies", prices=prices, log="json", telemetry=telemetry | more)
    gateway = RunningGateway(folder, settings)
    gateway.environment |= {"COLLECTOR": TOKEN, "SCRAPE": SCRAPE, "OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    return gateway


@pytest.fixture(scope="module")
def provider():
    with RunningRehearsal(SCRIPT) as running:
        yield running


@pytest.fixture(scope="module", params=["http/protobuf", "grpc"])
def seen(request, tmp_path_factory, provider):
    """A gateway, what its collector took, and the exchanges by (dialect, streamed, what was asked)."""
    provider.reset()
    folder = tmp_path_factory.mktemp("telemetry")
    with {"grpc": over_grpc, "http/protobuf": over_http}[request.param]() as (taken, endpoint), started(
        folder, provider, endpoint, request.param
    ) as gateway:
        key = gateway.create_key("bot")
        dialects = DIALECTS if request.param == "http/protobuf" else DIALECTS[:1]
        exchanges = {
            (dialect, stream, text): asked(gateway, key, dialect, text, stream=stream)
            for dialect in dialects
            for stream in (False, True)
            for text in ("look", "delete")
        }
        joined = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
        exchanges["joined"] = asked(gateway, key, DIALECTS[0], "look", **joined)
        exchanges["unsampled"] = asked(gateway, key, DIALECTS[0], "look", traceparent=f"00-{TRACE[:-1]}d-{PARENT}-00")
        exchanges["broken"] = asked(gateway, key, DIALECTS[0], "break", stream=True)
        until(lambda: {f"{propagation.span_id(exchanges['broken']):016x}"} <= {span.span_id.hex() for span in taken.spans})
        until(lambda: sum(point.count for point in taken.points("tollhouse.overhead.duration")) >= len(exchanges))
        yield gateway, taken, exchanges, provider.requests()


def span_of(taken: Taken, exchange: str) -> Span:
    (found,) = [span for span in taken.spans if span.span_id.hex() == f"{propagation.span_id(exchange):016x}"]
    return found


def test_an_exchange_and_its_call_are_a_span_and_its_child(seen):
    _, taken, exchanges, _ = seen
    for key, exchange in exchanges.items():
        if not isinstance(key, tuple):
            continue
        dialect, stream, text = key
        parent = span_of(taken, exchange)
        (call,) = [span for span in taken.spans if span.parent_span_id == parent.span_id]
        assert (parent.name, parent.kind, parent.parent_span_id, parent.status.code) == ("chat m", Span.SPAN_KIND_CLIENT, b"", 0), key
        tool = "look_up" if text == "look" else "delete_all"
        assert (call.name, call.kind, call.trace_id) == (f"execute_tool {tool}", Span.SPAN_KIND_INTERNAL, parent.trace_id)
        assert parent.trace_id.hex() == exchange.replace("-", "")
        assert parent.start_time_unix_nano <= call.start_time_unix_nano <= call.end_time_unix_nano <= parent.end_time_unix_nano + 10**6
        told, judged = attributes(parent), attributes(call)
        assert (told["gen_ai.operation.name"], told["gen_ai.request.model"], told["gen_ai.agent.name"]) == ("chat", "m", "bot")
        assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (100, 20), key
        assert ("gen_ai.request.stream" in told) == stream
        assert told["tollhouse.dialect"] == dialect
        assert told["tollhouse.cost"] == pytest.approx(0.00014)
        assert (judged["tollhouse.verdict"], judged["tollhouse.released"]) == (("allow", True) if text == "look" else ("deny", False))


def test_names_and_types_are_the_conventions_own(seen):
    _, taken, _, _ = seen
    for request in taken.traces:
        for found in request.resource_spans:
            assert {scope.schema_url for scope in found.scope_spans} == {otel.SCHEMA_URL}
    for span in taken.spans:
        for name, told in [*attributes(span).items(), *(pair for event in span.events for pair in attributes(event).items())]:
            assert name.startswith("tollhouse.") or name in REGISTRY, name
            if name in REGISTRY:
                assert type(told) is TYPES.get(name, str), (name, told)


def test_metrics_of_the_conventions_have_their_names_units_and_required_labels(seen):
    _, taken, _, _ = seen
    told = taken.told

    class Meter:
        def create_histogram(self, name, description="", unit=""):
            return name, unit

    made = (
        gen_ai_metrics.create_gen_ai_client_operation_duration(Meter()),
        gen_ai_metrics.create_gen_ai_client_token_usage(Meter()),
        gen_ai_metrics.create_gen_ai_client_operation_time_to_first_chunk(Meter()),
    )
    for name, unit in made:
        assert told[name].unit == unit
        assert told[name].WhichOneof("data") == "histogram"
        for point in told[name].histogram.data_points:
            assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} <= set(attributes(point))
    tokens = told["gen_ai.client.token.usage"].histogram.data_points
    assert {attributes(point)["gen_ai.token.type"] for point in tokens} == {"input", "output"}
    assert {name for name in told if not name.startswith("tollhouse.")} == {name for name, _ in made}


def test_no_content_no_secret_and_no_session_leaves(seen):
    gateway, taken, _, _ = seen
    sent = b"".join(each.SerializeToString() for each in (*taken.traces, *taken.metrics))
    assert b"hidden-place" not in sent
    assert b"Hidden-Bern" not in sent
    labels = {name for metric in taken.told for point in taken.points(metric) for name in attributes(point)}
    assert labels <= REGISTRY | {name for name in labels if name.startswith("tollhouse.")}
    assert not {"gen_ai.conversation.id", "user.id", "gen_ai.tool.name", "tollhouse.exchange.id"} & labels
    assert {each["authorization"] for each in taken.headers} == {TOKEN}
    for file in (gateway.log, gateway.data / "settings.json"):
        assert "made-up" not in file.read_text()


def test_a_clients_trace_is_joined_and_goes_on_to_the_provider(seen):
    _, taken, exchanges, requests = seen
    span = span_of(taken, exchanges["joined"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    told = [{name.lower(): text for name, text in request.headers.items()} for request in requests]
    (onward,) = [each for each in told if TRACE in each.get("traceparent", "")]
    assert onward["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert onward["tracestate"] == "vendor=1"
    own = exchanges[DIALECTS[0], False, "look"]
    assert f"00-{own.replace('-', '')}-{propagation.span_id(own):016x}-01" in {each.get("traceparent") for each in told}


def test_a_trace_that_its_client_does_not_record_is_not_sent(seen):
    _, taken, exchanges, requests = seen
    assert f"{propagation.span_id(exchanges['unsampled']):016x}" not in {span.span_id.hex() for span in taken.spans}
    assert [1 for request in requests if request.headers.get("traceparent", "").startswith(f"00-{TRACE[:-1]}d-")] == [1]


def test_a_broken_answer_is_an_error(seen):
    _, taken, exchanges, _ = seen
    span = span_of(taken, exchanges["broken"])
    assert (span.status.code, attributes(span)["error.type"]) == (2, span.status.message)
    assert span.status.message


def test_an_answer_without_calls_ends_a_turn_that_is_linked_with_its_exchanges(seen):
    _, taken, exchanges, _ = seen
    turns = [span for span in taken.spans if span.name == "invoke_agent bot"]
    denied = {link.span_id.hex() for turn in turns for link in turn.links}
    assert f"{propagation.span_id(exchanges[DIALECTS[0], False, 'delete']):016x}" in denied
    assert all(attributes(turn)["gen_ai.operation.name"] == "invoke_agent" for turn in turns)


def test_what_is_exported_later_is_what_was_told(seen, tmp_path):
    gateway, taken, exchanges, _ = seen
    gateway.tollhouse("export", "--format", "otlp", "--out", str(tmp_path / "later.jsonl"))
    found = [json.loads(line) for line in (tmp_path / "later.jsonl").read_text().splitlines()]
    scopes = [scope for each in found for one in each["resourceSpans"] for scope in one["scopeSpans"]]
    later = {span["spanId"]: span for scope in scopes for span in scope["spans"]}
    for exchange in set(exchanges.values()) - {exchanges["unsampled"]}:
        live = span_of(taken, exchange)
        one = later[live.span_id.hex()]
        assert (one["traceId"], one["name"], one.get("parentSpanId", "")) == (live.trace_id.hex(), live.name, live.parent_span_id.hex())
        assert {each["key"] for each in one["attributes"]} == set(attributes(live))
        assert int(one["endTimeUnixNano"]) == live.end_time_unix_nano


def scraped(gateway: RunningGateway, token: str, accept: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}", "accept": accept}
    return httpx.get(f"{gateway.admin}/metrics", headers=headers, timeout=PATIENCE_S, trust_env=False)


def test_metrics_are_at_the_admin_plane_for_who_may_read_them(seen):
    gateway, _, _, _ = seen
    page = scraped(gateway, SCRAPE)
    assert 'tollhouse_calls_total{gen_ai_agent_name="bot",tollhouse_released="false",tollhouse_verdict="deny"}' in page.text
    assert 'tollhouse_telemetry_dropped_total{tollhouse_reason="full"} 0.0' in page.text
    assert scraped(gateway, (gateway.data / "admin.token").read_text().strip()).status_code == 200
    assert "openmetrics" in scraped(gateway, SCRAPE, "application/openmetrics-text").headers["content-type"]
    assert scraped(gateway, "other").status_code == 401
    headers = {"authorization": f"Bearer {SCRAPE}"}
    asking = httpx.post(f"{gateway.admin}/sql", headers=headers, json={"sql": "SELECT 1"}, trust_env=False, timeout=PATIENCE_S)
    assert asking.status_code == 401


def test_lines_of_the_log_are_json(seen):
    gateway, _, _, _ = seen
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert {line["process"] for line in lines} >= {"supervisor"}
    assert all({"time", "level", "message"} <= set(line) for line in lines)


def selectors(node: Any, by: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """(metric, labels that are asked of it) in a PromQL expression."""
    match node:
        case promql.VectorSelector():
            yield node.name, {matcher.name for matcher in node.matchers.matchers} | by
        case promql.MatrixSelector():
            yield from selectors(node.vector_selector, by)
        case promql.AggregateExpr():
            yield from selectors(node.expr, by | frozenset(node.modifier.labels if node.modifier else ()))
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument, by)
        case promql.BinaryExpr():
            yield from selectors(node.lhs, by)
            yield from selectors(node.rhs, by)


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "tollhouse.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "5m").replace("$agent", ".*") for each in found]


def test_every_metric_and_label_of_the_dashboard_is_there_after_traffic(seen):
    gateway, _, _, _ = seen
    page = list(text_string_to_metric_families(scraped(gateway, SCRAPE).text))
    there: dict[str, set[str]] = {}
    for sample in (sample for family in page for sample in family.samples):
        there.setdefault(sample.name, set()).update(sample.labels)
    asked_for = [pair for expression in expressions() for pair in selectors(promql.parse(expression))]
    assert len(asked_for) > 20
    for metric, labels in asked_for:
        assert metric in there, metric
        assert labels <= there[metric], (metric, labels - there[metric])
    own = {family.name for family in page if family.name.startswith("tollhouse_")}
    shown = {metric for metric, _ in asked_for}
    assert not {name for name in own if not any(metric.startswith(name) for metric in shown)}, "a metric nobody is shown"


@pytest.fixture
def hanging():
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for each in held:
            each.close()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_hangs_delays_neither_book_nor_worker_nor_the_end(tmp_path, provider, hanging, protocol):
    gateway = started(tmp_path, provider, hanging, protocol)
    gateway.environment |= {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    with gateway:
        key = gateway.create_key("bot")
        before = time.monotonic()
        for _ in range(30):
            asked(gateway, key, DIALECTS[0], "delete")
        gateway.awaited("SELECT 1 FROM exchanges WHERE state = 'denied'", 30)
        took = time.monotonic() - before
        page = until(lambda: (found := scraped(gateway, SCRAPE).text) and 'reason="full"} 0.0' not in found and found)
        assert "tollhouse_telemetry_spans_total 0.0" in page
        ready = httpx.get(f"{gateway.admin}/readyz", trust_env=False, timeout=PATIENCE_S)
        assert ready.status_code == 200
        assert ready.json()["counters"]["telemetry_dropped"] > 0
        ending = time.monotonic()
    assert took < 15
    assert time.monotonic() - ending < 15
