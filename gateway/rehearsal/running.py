"""A rehearsal inside a test or another program: started on a free port in a thread, stopped at the end of the `with` block."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import TracebackType

import uvicorn

from gateway.errors import StartError
from gateway.rehearsal.script import Script, load, load_file
from gateway.rehearsal.server import Received, Rehearsal, application


def server_for(rehearsal: Rehearsal) -> uvicorn.Server:
    """uvicorn, quiet, that does not wait for connections a script left open."""
    config = uvicorn.Config(
        application(rehearsal),
        http=rehearsal.protocol(),
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    return uvicorn.Server(config)


class RunningRehearsal:
    """`with RunningRehearsal("rehearsal: 1\\n…") as provider:` then point a client at `provider.base_url`.

    The script is YAML text, a path, or a loaded `Script`. `port` 0 takes a free one.
    """

    def __init__(self, script: str | bytes | Path | Script, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._rehearsal = Rehearsal(_loaded(script))
        self._address = (host, port)
        self._server = server_for(self._rehearsal)
        self._thread: threading.Thread | None = None
        self.url = ""
        """`http://127.0.0.1:<port>`: what Anthropic's SDK calls its base URL."""

    @property
    def base_url(self) -> str:
        """`url` with `/v1`: what OpenAI's SDK calls its base URL, and what an upstream of the gateway is."""
        return f"{self.url}/v1"

    def __enter__(self) -> RunningRehearsal:
        try:
            listening = socket.create_server(self._address)
        except OSError as error:
            raise StartError(f"cannot listen on {self._address[0]}:{self._address[1]}: {error.strerror}") from error
        self.url = "http://{}:{}".format(*listening.getsockname()[:2])
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="rehearsal", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise StartError("the rehearsal provider did not start; its own error stands above")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _serve(self, listening: socket.socket) -> None:
        with listening:
            self._server.run(sockets=[listening])

    def requests(self) -> list[Received]:
        """Every request received since the start or the last `reset`, oldest first."""
        return list(self._rehearsal.received)

    def reset(self) -> None:
        """Forget the requests; the script stays."""
        self._rehearsal.reset()

    def play(self, script: str | bytes | Path | Script) -> None:
        """Replace the script; answers already under way are not touched."""
        self._rehearsal.script = _loaded(script)


def _loaded(script: str | bytes | Path | Script) -> Script:
    if isinstance(script, Script):
        return script
    if isinstance(script, Path):
        return load_file(script)
    return load(script.encode() if isinstance(script, str) else script)
