"""A worker as far as pages ask it: its `/readyz`."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path
from typing import Any


class Worker:
    """A worker's `/readyz`, on a real socket: `says` is what it answers."""

    def __init__(self, folder: Path) -> None:
        self.says: dict[str, Any] = {
            "ready": True, "draining": False, "slot": 1, "version": "0.1.0", "active": 2, "observing": False,
            "policy": {"hash": "ab" * 32, "git": "c0ffee", "stale": False, "problems": []}, "policy_stale": False,
            "prompts": {"hash": "", "git": None, "count": 0, "stale": False, "problems": []},
            "journal": {"healthy": True, "problem": None, "durability": "commit"}, "state": {"healthy": True, "problem": None},
            "routes": [], "keys_required": True,
        }  # fmt: skip
        worker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(worker.says).encode()
                self.send_response(200 if worker.says["ready"] else 503)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        (folder / "run.json").write_text(json.dumps({"listen": self.url, "admin": "http://127.0.0.1:8485"}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
