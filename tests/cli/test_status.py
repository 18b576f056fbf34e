"""What `tollhouse status` says of a gateway that answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app

READY: dict[str, Any] = {"ready": True, "observing": True}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Any]:
    """`plane(book)`: both planes of a gateway that runs on the folder, whose book answers so."""
    said: dict[str, Any] = {}

    class Plane(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Plane)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "run.json").write_text(json.dumps({"listen": url, "admin": url}))

    def shown(book: dict[str, Any], code: int = 0) -> str:
        said.clear()
        said.update(READY | book)
        done = CliRunner().invoke(app, ["status", "--data", str(tmp_path)])
        assert done.exit_code == code, done.output
        return done.output

    yield shown
    server.shutdown()


def test_how_often_answers_were_given_again_is_shown_where_anybody_looked(plane: Any) -> None:
    assert "cache" not in plane({"counters": {"exchanges": 4}})
    assert "3 answers given again: 75% of 4 looked for" in plane({"counters": {"cache_hit": 3, "cache_miss": 1}})
    assert "0 answers given again: 0% of 2 looked for" in plane({"counters": {"cache_miss": 2}})


def test_what_a_book_is_not_ready_for_is_said(plane: Any) -> None:
    away = "the lake cannot be opened: Connection refused; rows stay in the journal until it can"
    assert f"LEDGER: {away}" in plane({"ready": False, "problem": away}, code=1)
    assert "LEDGER" not in plane({"problem": None})


def test_a_gateway_that_stops_is_told_from_one_that_is_not_well(plane: Any) -> None:
    assert "NOT READY: it is stopping" in plane({"ready": False, "draining": True}, code=1)
