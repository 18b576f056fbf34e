"""What leaves the book of a running gateway: files, spans to a collector, conversations as a dataset. Each export is on record."""

from __future__ import annotations

import base64
import http.server
import json
import threading

import httpx
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S

POLICY = "policy: 1\nid: p\nagents: ['*']\non_deny: explain\nallow: [look_up]\n"
SCRIPT = """
rehearsal: 1
scenes:
- {when: {user_contains: delete}, turns: [{text: Gone., calls: [{name: delete_all, args: {path: /tmp/secret-place}}]}]}
- turns: [{text: I look., calls: [{name: look_up, args: {city: Bern}}]}, {text: It is sunny.}]
"""
NAMES = ("look_up", "delete_all")


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes OTLP over HTTP as a collector does: protobuf, parsed whole."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.status
        if status == 200:
            assert self.path == "/v1/traces"
            self.server.taken.append(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def collector():
    server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
    server.taken, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def asked(gateway: RunningGateway, key: str, text: str, dialect: str = "chat") -> str:
    parameters = {"type": "object"}
    if dialect == "chat":
        tools = [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in NAMES]
        path, headers = "/v1/chat/completions", {"authorization": f"Bearer {key}"}
        body = {"model": "m", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}], "tools": tools}
    else:
        path, headers = "/v1/messages", {"x-api-key": key, "anthropic-version": "2023-06-01"}
        tools = [{"name": name, "input_schema": parameters} for name in NAMES]
        body = {"model": "m", "max_tokens": 9, "system": "be kind", "messages": [{"role": "user", "content": text}], "tools": tools}
    answer = httpx.post(f"{gateway.url}{path}", headers=headers, json=body, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-gateway-trace-id"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICY)
    master = folder / "master"
    master.write_bytes(base64.b64encode(b"m" * 32))
    master.chmod(0o600)
    with RunningRehearsal(SCRIPT) as provider:
        settings = settings_for(provider.base_url, policies="policies", encryption={"keys": {"file": str(master)}})
        with RunningGateway(folder, settings) as running:
            yield running


@pytest.fixture(scope="module")
def exchanges(gateway):
    """An exchange that was released, one that was denied, one of another dialect, one of which only sizes are kept."""
    key = gateway.create_key("bot")
    made = gateway.tollhouse("keys", "create", "--agent", "quiet", "--store", "metadata", "--json", "--data", str(gateway.data))
    ids = [asked(gateway, key, "look"), asked(gateway, key, "delete it"), asked(gateway, key, "look", "messages")]
    ids.append(asked(gateway, json.loads(made)["key"], "look"))
    gateway.awaited("SELECT 1 FROM exchanges WHERE state IN ('complete', 'denied')", 4)
    gateway.tollhouse("feedback", "add", "--exchange", ids[0], "--score", "1", "--comment", "good")
    gateway.awaited("SELECT 1 FROM feedback", 1)
    return ids


def test_a_view_goes_into_files_with_its_types(gateway, exchanges, tmp_path):
    gateway.tollhouse("export", "--format", "parquet", "--out", str(tmp_path / "x.parquet"), "--why", "a report", "--by", "ann")
    table = pq.read_table(tmp_path / "x.parquet")
    assert set(table.column("id").to_pylist()) == set(exchanges)
    assert str(table.schema.field("started_at").type) == "timestamp[us]"
    gateway.tollhouse("export", "--view", "calls", "--out", str(tmp_path / "c.jsonl"), "--since", "1h")
    calls = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert sorted(call["name"] for call in calls) == ["delete_all", "look_up", "look_up", "look_up"]
    gateway.tollhouse("export", "--query", "latest_decisions", "--out", str(tmp_path / "q.jsonl"))
    assert len((tmp_path / "q.jsonl").read_text().splitlines()) == 4
    read = gateway.awaited("SELECT who, subject, why FROM content_reads WHERE why = 'a report'", 1)
    assert read == [{"who": "ann", "subject": "exchanges", "why": "a report"}]


def test_what_cannot_be_exported_says_what_can(gateway, exchanges, tmp_path):
    out = str(tmp_path / "nothing")
    for wrong in (["--view", "state"], ["--query", "none"], ["-p", "days=7"], ["--view", "calls", "--since", "never"]):
        with pytest.raises(StartError, match="failed"):
            gateway.tollhouse("export", *wrong, "--out", out)
    for ignored in (["--view", "calls", "--query", "latest_decisions"], ["--format", "otlp", "--view", "calls"]):
        with pytest.raises(StartError, match="failed"):
            gateway.tollhouse("export", *ignored, "--out", out)


@pytest.mark.parametrize("asked", ["exchanges?since=soon", "cost_by_agent_and_day?days=few"])
def test_a_value_that_is_none_is_the_asker_s_mistake(gateway, asked):
    token = (gateway.data / "admin.token").read_text().strip()
    admin = json.loads((gateway.data / "run.json").read_text())["admin"]
    answer = httpx.get(f"{admin}/export/{asked}&by=ann", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "sql_error")


@pytest.mark.parametrize("what", [["export"], ["export", "--format", "parquet"], ["export", "dataset"]])
def test_a_place_where_no_file_can_be_is_said_and_nothing_is_read(gateway, tmp_path, what):
    for out, why in ((tmp_path, "is a folder"), (tmp_path / "none" / "x", "there is no folder")):
        with pytest.raises(StartError, match=why):
            gateway.tollhouse(*what, "--out", str(out), "--why", "nowhere to write")
    assert gateway.sql("SELECT * FROM content_reads WHERE why = 'nowhere to write'") == []


@pytest.mark.parametrize("score", ["nan", "inf"])
def test_a_score_is_a_finite_number(gateway, score):
    with pytest.raises(StartError, match="must be a finite number"):
        gateway.tollhouse("feedback", "add", "--session", "s", "--score", score)


def attributes(span) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_traces_reach_a_collector_under_opentelemetrys_names(gateway, exchanges, collector):
    to = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    gateway.tollhouse("export", "--format", "otlp", "--out", to)
    (resource,) = [each for request in collector.taken for each in request.resource_spans]
    found = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert resource.schema_url.startswith("https://opentelemetry.io/schemas/gen-ai")
    parent, call = found["chat m"], found["execute_tool delete_all"]
    assert attributes(parent)["gen_ai.operation.name"] == "chat"
    assert attributes(parent)["gen_ai.usage.input_tokens"] > 0
    assert attributes(call)["tollhouse.verdict"] == "deny"
    assert call.trace_id.hex() == exchanges[1].replace("-", "")
    assert call.parent_span_id
    assert b"secret-place" not in b"".join(request.SerializeToString() for request in collector.taken)


def test_a_collector_that_takes_nothing_is_said(gateway, exchanges, collector):
    collector.status = 400
    with pytest.raises(StartError, match="took 0 spans"):
        gateway.tollhouse("export", "--format", "otlp", "--out", f"http://127.0.0.1:{collector.server_port}/v1/traces")


def test_traces_in_a_file_are_otlps_json(gateway, exchanges, tmp_path):
    gateway.tollhouse("export", "--format", "otlp", "--out", str(tmp_path / "traces.jsonl"))
    (line,) = (tmp_path / "traces.jsonl").read_text().splitlines()
    spans = [span for each in json.loads(line)["resourceSpans"] for scope in each["scopeSpans"] for span in scope["spans"]]
    assert {span["traceId"] for span in spans} == {each.replace("-", "") for each in exchanges}
    assert len(spans) == 8


def test_a_dataset_holds_conversations_with_verdicts_and_feedback_whatever_their_dialect(gateway, exchanges, tmp_path):
    out = tmp_path / "set.jsonl"
    gateway.tollhouse("export", "dataset", "--out", str(out), "--why", "fine-tuning")
    made = {each["metadata"]["id"]: each for each in map(json.loads, out.read_text().splitlines())}
    assert set(made) == set(exchanges[:3])
    released, denied, other = (made[each] for each in exchanges[:3])
    assert [each["role"] for each in released["messages"]] == ["system", "user", "assistant"]
    assert released["messages"][2]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"city": "Bern"}'}
    assert (denied["verdicts"][0]["effect"], denied["verdicts"][0]["released"]) == ("deny", False)
    assert released["feedback"] == [{"name": "feedback", "score": 1.0, "label": None, "comment": "good", "source": "person"}]
    assert [tool["function"]["name"] for tool in other["tools"]] == ["look_up", "delete_all"]
    assert [each["content"] for each in other["messages"]][:2] == [each["content"] for each in released["messages"]][:2]
    read = gateway.awaited("SELECT what, count FROM content_reads WHERE why = 'fine-tuning'", 1)
    assert read == [{"what": "export", "count": 4}]


def test_a_dataset_is_chosen_by_a_question(gateway, exchanges, tmp_path):
    out = tmp_path / "set.jsonl"
    told = gateway.tollhouse("export", "dataset", "--out", str(out), "--sql", "SELECT exchange_id FROM calls WHERE NOT released", "--json")
    assert json.loads(told) == {"file": str(out), "written": 1, "left_out": {"illegible": 0, "unknown": 0}}
    assert [json.loads(line)["metadata"]["id"] for line in out.read_text().splitlines()] == [exchanges[1]]
    with pytest.raises(StartError, match="failed"):
        gateway.tollhouse("export", "dataset", "--out", str(out), "--sql", "SELECT * FROM nowhere")
