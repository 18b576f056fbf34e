"""What the settings and OpenTelemetry's variables come to."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.errors import FileProblems, StartError
from gateway.settings_sources import read
from gateway.telemetry_settings import Telemetry

COLLECTOR = "http://127.0.0.1:4318"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def resolved(environment, **given) -> Telemetry:
    return Telemetry(**given).with_environment(environment)


def test_without_a_collector_nothing_is_sent_and_nothing_changes():
    assert resolved({}) == Telemetry()
    assert not Telemetry().records_spans


@pytest.mark.parametrize(("given", "environment"), [({"endpoint": COLLECTOR}, {}), ({}, {ENDPOINT: COLLECTOR})])
def test_a_collector_gets_spans_and_metrics(given, environment):
    found = resolved(environment, **given)
    assert (found.traces, found.metrics, found.spoken("traces", environment), found.share) == (True, True, "http/protobuf", 1.0)


def test_each_signal_can_be_left_out_by_settings_or_variable():
    assert not resolved({}, endpoint=COLLECTOR, traces=False).traces
    found = resolved({ENDPOINT: COLLECTOR, "OTEL_METRICS_EXPORTER": "none"})
    assert (bool(found.traces), bool(found.metrics)) == (True, False)
    only = resolved({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": COLLECTOR})
    assert (bool(only.traces), bool(only.metrics)) == (False, True)
    assert not resolved({ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "true"}, traces=True).traces


def test_the_settings_win_over_the_variables():
    environment = {ENDPOINT: "http://elsewhere:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "always_off"}
    found = resolved(environment, endpoint=COLLECTOR, protocol="http/protobuf", sample=0.5)
    assert (found.endpoint, found.spoken("traces", environment), found.share) == (COLLECTOR, "http/protobuf", 0.5)
    assert resolved(environment).spoken("traces", environment) == "grpc"


def test_a_signals_own_variable_says_how_its_collector_is_spoken_to():
    environment = {ENDPOINT: COLLECTOR, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}
    found = resolved(environment)
    assert (found.spoken("traces", environment), found.spoken("metrics", environment)) == ("http/protobuf", "grpc")


def test_where_signals_go_is_told_once_each():
    apart = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces", ENDPOINT: COLLECTOR}
    assert resolved(apart).collectors(apart) == ["http://127.0.0.1:1/v1/traces", COLLECTOR]
    assert resolved(apart, endpoint=COLLECTOR).collectors(apart) == [COLLECTOR]
    assert resolved({}).collectors({}) == []


@pytest.mark.parametrize(
    ("sampler", "argument", "share"),
    [("always_on", None, 1.0), ("parentbased_always_off", "1", 0.0),
     ("traceidratio", "0.25", 0.25), ("parentbased_traceidratio", "", 1.0)],
)  # fmt: skip
def test_opentelemetrys_sampler_says_the_share(sampler, argument, share):
    more = {} if argument is None else {"OTEL_TRACES_SAMPLER_ARG": argument}
    assert resolved({ENDPOINT: COLLECTOR, "OTEL_TRACES_SAMPLER": sampler, **more}).share == share


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_SAMPLER": "jaeger_remote"}, "parentbased_traceidratio"),
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "much"}, "from 0 to 1"),
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "from 0 to 1"),
        ({ENDPOINT: COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "http/protobuf and grpc"),
        ({ENDPOINT: COLLECTOR, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "http/protobuf and grpc"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_refused_with_what_can(environment, said):
    with pytest.raises(StartError, match=said):
        resolved(environment)


def test_spans_without_a_collector_are_refused():
    with pytest.raises(StartError, match=r"telemetry\.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"):
        resolved({}, traces=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": "collector:4318"}, "must be an http"),
        ({"endpoint": "http://user:word@127.0.0.1:4318"}, "'headers'"),
        ({"endpoint": "http://collector:4318", "content": True}, "clear text"),
        ({"endpoint": "http://collector:4318", "headers": {"a": {"env": "A"}}}, "clear text"),
        ({"headers": {"a": {"env": "A"}}}, "name it with 'endpoint'"),
        ({"endpoint": COLLECTOR, "headers": {"authorization": "Bearer 123"}}, "headers"),
        ({"endpoint": COLLECTOR, "sample": 2.0}, "less than or equal to 1"),
    ],
)
def test_what_would_leak_or_cannot_be_meant_is_refused(given, said):
    with pytest.raises(ValidationError, match=said) as caught:
        Telemetry(**given)
    assert "Bearer 123" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://localhost:4318", "http://[::1]:4318", "https://collector:4318", "http://127.0.0.1:1/"])
def test_content_goes_where_nobody_listens_on_the_way(endpoint):
    assert Telemetry(endpoint=endpoint, content=True).endpoint == endpoint.rstrip("/")
    assert Telemetry(endpoint="http://collector:4318", content=True, allow_http=True).content


def test_secrets_are_read_from_where_they_are_named_and_known_to_the_log():
    settings = Telemetry(endpoint=COLLECTOR, headers={"Authorization": {"env": "A"}}, scrape_token={"env": "T"})
    environment = {"A": "Bearer made-up-word", "T": "scrape-word", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=made%20up,y=z"}
    assert settings.secret_headers(environment) == {"authorization": "Bearer made-up-word"}
    assert settings.secret_scrape_token(environment) == "scrape-word"
    assert {"Bearer made-up-word", "made-up-word", "made up", "scrape-word"} <= set(settings.secrets(environment))
    assert {"A", "T", "OTEL_EXPORTER_OTLP_HEADERS"} <= settings.secret_variables
    assert Telemetry().secret_scrape_token({}) == ""


@pytest.mark.parametrize("given", [{"headers": {"a": {"env": "NONE"}}}, {"scrape_token": {"env": "NONE"}}])
def test_a_secret_that_is_not_there_is_told_at_the_start(given):
    with pytest.raises(StartError, match="NONE"):
        Telemetry(endpoint=COLLECTOR, **given).secrets({})


def test_the_file_says_where_it_is_wrong(tmp_path):
    file = tmp_path / "tollhouse.yaml"
    file.write_text("telemetry:\n  endpoint: collector\n")
    with pytest.raises(FileProblems, match=r"tollhouse.yaml:2"):
        read(file, {})
    file.write_text("telemetry: {sample: 0.5}\nlog: json\n")
    found = read(file, {ENDPOINT: COLLECTOR})
    assert (found.log, found.telemetry.share, found.telemetry.traces) == ("json", 0.5, True)
