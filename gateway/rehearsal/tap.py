"""A TCP relay that keeps every byte a client was sent: the proof of what did and did not reach it.

It sits between any client and any HTTP server, on real sockets, so it sees what no SDK shows: bytes that the SDK skipped, and bytes that
came after an error. It keeps everything in memory: for tests.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit


class Tap:
    """`with Tap(url) as tap:` then point the client at `tap.url`; `tap.received` is what it got so far, all connections together."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._received: list[bytes] = []
        self.url = "http://{}:{}".format(*self._listening.getsockname()[:2])

    def __enter__(self) -> Tap:
        threading.Thread(target=self._accept, name="tap", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @property
    def received(self) -> bytes:
        with self._lock:
            return b"".join(self._received)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    with self._lock:
                        self._received.append(data)
                sink.sendall(data)
        for end in (sink, source):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
