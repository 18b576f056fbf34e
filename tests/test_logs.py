"""Lines of a process: as text or as JSON, with ids, never with secrets."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import threading

import httpx
import pytest

from gateway import logs
from gateway.exchange import TraceParent
from gateway.trace import propagation
from gateway.trace.redact import Redactor
from tests.patience import PATIENCE_S

PROVIDER = "sk-made-up-provider-key-0001"
CALLERS = "th_a1B2c3D4_" + "a1B2c3D4" * 5 + "xYz"
GITHUB = "ghp_" + "A1b2C3d4" * 4 + "Zz90"
ID = "01a1fdc4-cfd2-722b-9d8b-c62a23801532"


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level
    logs.about.set(None)


@pytest.fixture
def told(capsys):
    """Configures the log; gives back the lines."""

    def configured(style="json"):
        logs.configure(Redactor([PROVIDER]), style=style, process="worker 1")
        return lambda: [json.loads(line) if style == "json" else line for line in capsys.readouterr().err.splitlines()]

    return configured


def test_a_line_is_one_json_object(told):
    lines = told()
    logging.getLogger("gateway.x").warning("two\nlines of %s", "ünicode \ud800")
    (line,) = lines()
    assert line["message"] == "two\nlines of ünicode \\ud800"
    assert (line["level"], line["logger"], line["process"]) == ("warning", "gateway.x", "worker 1")
    assert line["time"].endswith("Z")
    assert "trace_id" not in line


@pytest.mark.parametrize("client", [None, TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)])
def test_a_line_within_an_exchange_has_the_ids_of_its_span(told, client):
    lines = told()
    logs.about.set((ID, client))
    logging.getLogger("x").error("broken")
    logs.about.set(None)
    logging.getLogger("x").error("outside")
    inside, outside = lines()
    assert inside["exchange_id"] == ID
    assert int(inside["trace_id"], 16) == propagation.trace_id(ID, client.trace_id if client else None)
    assert int(inside["span_id"], 16) == propagation.span_id(ID)
    assert "exchange_id" not in outside


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("secret", [PROVIDER, CALLERS, GITHUB])
def test_planted_secrets_are_in_no_line_wherever_they_stand(told, capsys, style, secret):
    told(style)
    log = logging.getLogger("x")
    log.error("key %s", secret)
    log.error(json.dumps({"body": json.dumps({"key": secret})}))
    log.error("a\n%r\tb", {"authorization": f"Bearer {secret}"})
    try:
        int(f"the key is {secret}")
    except ValueError:
        log.exception("failed with %s", secret, stack_info=True)
    err = capsys.readouterr().err
    assert secret not in err
    assert secret[8:] not in err
    assert err.count("x") >= 4


def test_a_traceback_is_in_its_line(told):
    lines = told()
    try:
        {}["gone"]
    except KeyError:
        logging.getLogger("x").exception("failed")
    (line,) = lines()
    assert "KeyError: 'gone'" in line["exception"]


def test_text_is_for_people(told):
    lines = told("text")
    logging.getLogger("x").warning("words")
    assert lines()[0].endswith("WARNING x: words")
    assert "uvicorn" in sys.modules or logging.getLogger("uvicorn").level == logging.WARNING


def test_no_address_that_is_asked_is_logged(told):
    lines = told("text")
    with socket.create_server(("127.0.0.1", 0)) as nobody, contextlib.suppress(httpx.HTTPError):
        threading.Thread(target=answered, args=(nobody,), daemon=True).start()
        httpx.post(f"http://127.0.0.1:{nobody.getsockname()[1]}/services/T0/only-slack-may-know", trust_env=False, timeout=PATIENCE_S)
    assert lines() == []


def answered(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
