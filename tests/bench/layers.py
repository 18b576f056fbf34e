"""What each layer of the wire costs alone, without anything of the gateway's inside: `python -m tests.bench.layers`.

An application that answers at once, under uvicorn's own protocol and under the gateway's; then one that asks the provider through the
gateway's client and passes the answer on. What the gateway costs above the last line is not the wire's. CPU µs per request or event,
medians of three runs. Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from gateway.front import front
from gateway.limit_settings import Limits, Timeouts
from gateway.upstream.client import UpstreamClient
from tests.bench import measure, processes, report, wire
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

LAYERS = {
    "uvicorn's protocol, an empty application": ("empty", "httptools"),
    "the gateway's protocol, an empty application": ("empty", "front"),
    "the gateway's protocol and client, relaying": ("relaying", "front"),
}
TRAFFIC = [s for s in measure.SCENARIOS if s.name in ("2 KB", "60 KB", "stream, burst", "stream, paced")]
RUNS = 3
_ANSWER = wire.whole("plain").partition(b"\r\n\r\n")[2]


async def _whole(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def empty(scope: Any, receive: Any, send: Any) -> None:
    await _whole(receive)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


def relaying(provider: int) -> Any:
    client = UpstreamClient(Timeouts())
    url = f"http://127.0.0.1:{provider}{wire.PATH}"

    async def relay(scope: Any, receive: Any, send: Any) -> None:
        body = await _whole(receive)
        async with client.send("POST", url, {"content-type": "application/json"}, body) as answer:
            kept = [(name.encode(), value.encode()) for name, value in answer.headers.items() if name in ("content-type", "content-length")]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for chunk in answer.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    return relay


def serve(application: str, protocol: str, port: int, provider: int) -> None:
    http: Any = front(Limits(), Timeouts()) if protocol == "front" else protocol
    app = empty if application == "empty" else relaying(provider)
    config = uvicorn.Config(app, http=http, port=port, ws="none", loop="uvloop", lifespan="off", log_config=None, access_log=False)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(uvicorn.Server(config).serve())


@contextmanager
def running(name: str, provider: int, folder: Path) -> Iterator[Subject]:
    port, started = free_port(), time.monotonic()
    line = processes.python("tests.bench.layers", "--serve", *LAYERS[name], "--port", str(port), "--provider", str(provider))
    with processes.running(line, log=folder / "layer.log") as process:
        await_port(port, started)
        yield Subject(name, port, lambda: {"workers": [process.pid]})


def measured(seconds: float) -> dict[str, dict[str, float]]:
    """{layer: {traffic: µs}}."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, processes.provider() as (provider, _):
        for name, (application, _) in LAYERS.items():
            with running(name, provider, Path(folder)) as subject:
                fitting = [s for s in TRAFFIC if application == "relaying" or not s.streams]
                found[name] = {s.name: statistics.median(measure.once(subject, s, seconds)["cpu_us"] for _ in range(RUNS)) for s in fitting}
    return found


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.layers", description="What each layer of the wire costs alone. Linux.")
    asked.add_argument("--seconds", type=float, default=2.0, help="of each run (default 2)")
    asked.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    asked.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    asked.add_argument("--provider", type=int, default=0, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.serve:
        serve(*given.serve, given.port, given.provider)
        return
    for name, figures in measured(given.seconds).items():
        report.write(f"{name:46}" + "  ".join(f"{traffic}: {us:.1f} µs" for traffic, us in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
