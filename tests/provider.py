"""A provider that sends exactly the bytes a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable

from tests.patience import PATIENCE_S

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], object]
PROVIDER_KEY = "sk-canary-provider-key-1234"


class Provider:
    """A provider made of a plain socket server: it answers what `answer` says and remembers what it was sent."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, bytes]] = []
        """(head, body) of every request."""
        self.closed = 0
        """Connections that the gateway closed before the answer ended."""
        self.answer: Answer = self.json({"id": "x"})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(PATIENCE_S)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                length = int(lengths[0]) if lengths else 0
                body = await reader.readexactly(length)
                self.received.append((head, body))
                try:
                    await self.answer(reader, writer, body)
                except ConnectionError:  # who leaves with something unread resets the connection
                    self.closed += 1
                    break
                if writer.is_closing():
                    break
        writer.close()

    def heard_all(self) -> None:
        """Waits until whatever was sent to it by now stands in `received`."""

        async def rounds() -> None:
            for _ in range(4):
                await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(rounds(), self._loop).result(PATIENCE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)

    @staticmethod
    def json(body: object, status: str = "200 OK", headers: str = "") -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Provider.raw(data, status, headers, "application/json")

    @staticmethod
    def raw(data: bytes, status: str = "200 OK", headers: str = "", media: str = "application/json") -> Answer:
        async def answer(reader, writer, body):
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {len(data)}\r\n{headers}\r\n".encode()
                + data
            )
            await writer.drain()

        return answer

    @staticmethod
    def sent(wire: bytes) -> Answer:
        """These very bytes, head and all."""

        async def answer(reader, writer, body):
            writer.write(wire)
            await writer.drain()

        return answer

    @staticmethod
    def cut(wire: bytes, at: int, how: str) -> Answer:
        """Sends so many bytes, then ends: `reset` as a crash does, `end` as a clean one."""

        async def answer(reader, writer, body):
            writer.write(wire[:at])
            await writer.drain()
            await asyncio.sleep(0.01)  # a reset throws away what the kernel has not delivered yet
            if how == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()

        return answer

    @staticmethod
    def silent_after(wire: bytes, at: int) -> Answer:
        """Sends so many bytes and waits for the other side to leave."""

        async def answer(reader, writer, body):
            writer.write(wire[:at])
            await writer.drain()
            await reader.read()
            writer.close()

        return answer

    def silent(self) -> Answer:
        """Says nothing and waits for the other side to leave."""

        async def answer(reader, writer, body):
            await reader.read()
            self.closed += 1
            writer.close()

        return answer

    def sse(self, *pieces: bytes, gap: float = 0.0, end: bool = True, hang: bool = False) -> Answer:
        """Chunks of an event stream; `end=False` breaks the connection after them, `hang=True` waits for the other side to leave."""

        async def answer(reader, writer, body):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in pieces:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
                if gap:
                    await asyncio.sleep(gap)
            if hang:
                await reader.read()
                self.closed += 1
                writer.close()
            elif end:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
            else:
                writer.close()

        return answer
