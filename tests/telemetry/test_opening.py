"""All parts together without a collector: what is watched, what cannot be read, and what the documents say of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.config import Settings
from gateway.errors import GatewayError, StartError
from gateway.stores import Applied, Batch
from gateway.telemetry import sending
from gateway.telemetry.opening import Observatory
from gateway.telemetry_settings import Telemetry
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.people_rows import ApprovalRow
from gateway.trace.record import ApprovalChanged, Ended
from gateway.trace.segments import Segment
from gateway.verdict import Ran, RuleHit

README = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()
NOW = 1_795_262_400_000_000
STANDING = SimpleNamespace(ready=True, lag_bytes=7, records=3, quarantined={"s": "damaged"})
ROW = ExchangeRow(
    id="x", started_us=NOW, dialect="openai.chat", provider="openai", operation="chat", route="/v1", agent="bot", stream=True,
    request_model="m", state="complete", upstream="up", upstream_status=200, input_tokens=1, output_tokens=1, cost="0.1", first_byte_us=1,
)  # fmt: skip
CALL = CallRow("x", "d", NOW, 0, "c", "pay", "function", "{}", "h", "allow", True, "granted", "", "bot", hits=(RuleHit("p", "r", "allow"),))


def observatory(settings: Telemetry | None = None, **more) -> Observatory:
    parts = {"standing": lambda: STANDING, "pending": lambda: 4} | more
    made = Observatory(settings or Telemetry(), lambda *_: (), lambda: NOW, **parts)
    made.start()
    return made


def page(made: Observatory) -> dict[str, float]:
    families = text_string_to_metric_families(made.page("")[0].decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_what_is_watched_is_as_it_is_when_it_is_asked_for():
    made = observatory()
    found = page(made)
    assert found["tollhouse_journal_lag_bytes"] == 7
    assert (found["tollhouse_journal_damaged"], found["tollhouse_approvals_pending"], found["tollhouse_book_ready"]) == (1, 4, 1)
    assert (made.untold(), set(made.dropped().values())) == (0, {0})
    made.close()


def test_what_cannot_be_looked_up_is_left_out_and_the_rest_is_there():
    def away():
        raise GatewayError("unavailable", "state_unavailable", "the state store is away")

    made = observatory(pending=away)
    found = page(made)
    assert "tollhouse_approvals_pending" not in found
    assert found["tollhouse_records_total"] == 3
    made.close()


def test_a_header_whose_secret_is_not_there_keeps_it_from_starting():
    with pytest.raises(StartError, match="NOWHERE"):
        observatory(Telemetry(endpoint="http://127.0.0.1:9", headers={"authorization": {"env": "NOWHERE"}}))


def section() -> str:
    return README.partition("\n## Telemetry\n")[2].partition("\n## ")[0]


def test_the_documents_settings_are_settings():
    block = re.findall(r"^```yaml\n(telemetry:.*?)^```", section(), re.MULTILINE | re.DOTALL)[0]
    settings = Settings.model_validate(yaml.safe_load(block))
    assert settings.log == "json"
    assert settings.telemetry.headers["authorization"].env == "COLLECTOR_AUTHORIZATION"


def test_the_documents_name_every_metric_and_no_other():
    made = observatory()
    records = (Ended(ROW, ran=(Ran("v", "1"),)), ApprovalChanged(ApprovalRow("apr_1", 1, "approved", NOW, NOW, "bot")))
    batch = Batch(Segment("r", 0, "b", 0), list(enumerate(records)), 1, None)
    made.tell(Applied(2, [ROW], [CALL], []), [batch])
    made._telling.close(10)
    told = re.search(r"\*\*Metrics\*\*: (.*?)\. They count", section(), re.DOTALL)[1]
    names = re.findall(r"`([a-z_.]+)`", told)
    own = {name if name.startswith("tollhouse.") else f"tollhouse{name}" for name in names if not name.startswith("gen_ai")}
    own -= {"tollhouse.time_to_first_chunk"}
    there = set(re.findall(r"^# TYPE (tollhouse_\w+)", made.page("")[0].decode(), re.MULTILINE))
    assert {name.replace(".", "_") for name in own} == {re.sub(r"_(total|seconds|bytes)$", "", name) for name in there}
    made.close()


def test_each_signal_is_sent_as_its_own_variable_says(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
    settings = Telemetry().with_environment(os.environ)
    made = sending.span_exporter(settings, {}), sending.metric_exporter(settings, {})
    assert [".grpc." in type(each).__module__ for each in made] == [False, True]
    for each in made:
        each.shutdown()
