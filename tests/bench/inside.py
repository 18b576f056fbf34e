"""What the gateway's inside does for a request, without the wire: `python -m tests.bench.inside`.

The real pipeline over the real policy, keys, encoders and records, in one process: the provider's answer is at hand, the journal encodes
and frames what it gets and lets it go. CPU time is told beside that of a fixed loop run in turns with it, because a machine that is busy
slows both; function calls are counted, because they are the same on every machine. Kernel, sockets, syncs and the book are not in it: for
these see `python -m tests.bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import itertools
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gateway.assembling import assemble
from gateway.clock import Clock
from gateway.config import Settings
from gateway.demo.stage import PROVIDER_KEY, settings_for
from gateway.dialects import DIALECTS
from gateway.errors import JournalUnavailable
from gateway.installation import load_policies, open_keys
from gateway.limit_settings import Timeouts
from gateway.pipeline import relay
from gateway.policy import PolicySet
from gateway.route_settings import TargetTimeouts
from gateway.trace import frames, record
from gateway.upstream.client import UpstreamClient
from gateway.visit import Gateway, Head, Incoming
from tests.bench import report, wire
from tests.bench.peers.tollhouse import policy

ROUNDS: Final = 9
KINDS: Final = {"2 KB": ("plain", "2k"), "60 KB": ("plain", "60k"), "tool call": ("tool", "2k"), "stream, burst": ("burst", "2k")}
_NUMBERS = itertools.count(time.time_ns() // 1000)
"""No run says what one before it said."""


class FramedJournal:
    """Encodes, chains and frames records as the journal does, and writes them nowhere."""

    healthy, problem, durability = True, None, "commit"

    def __init__(self, clean: Callable[[bytes], bytes], keep: Callable[[record.Record], None] = lambda _: None) -> None:
        self._clean, self._keep, self._head = clean, keep, frames.GENESIS

    async def append(self, *records: record.Record) -> None:
        for each in records:
            self._keep(each)
            parts = record.encode(each)
            data, self._head = frames.frame(self._head, frames.Parts(self._clean(parts.facts), self._clean(parts.bodies or b"")))
            if not data:
                raise JournalUnavailable("a frame without bytes; see gateway/trace/frames.py")


class Said:
    """A provider's answer that is already here, in pieces as the kernel would give them."""

    status = 200
    sent = lent = True
    media_type: str
    charset: str | None = None

    def __init__(self, media_type: str, pieces: list[bytes]) -> None:
        self.media_type, self._pieces = media_type, pieces
        self.headers = {"content-type": media_type}

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def read(self, limit: int) -> bytes:
        return b"".join(self._pieces)

    async def __aenter__(self) -> Said:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None


class Provider(UpstreamClient):
    """Answers everything at once, with what was made ahead."""

    def __init__(self, kind: str) -> None:
        super().__init__(Timeouts())
        self._parts = wire.parted(_answer(kind))
        self._media = "text/event-stream" if kind == "burst" else "application/json"

    def send(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, own: TargetTimeouts | None = None
    ) -> Said:
        whole = wire.mark(next(_NUMBERS)).join(self._parts)
        return Said(self._media, [whole[at : at + 65_536] for at in range(0, len(whole), 65_536)])


def _answer(kind: str) -> bytes:
    if kind != "burst":
        return wire.whole(kind).partition(b"\r\n\r\n")[2]
    words = [wire.MARK, *(f"word {number} " for number in range(1, wire.BURST_EVENTS))]
    return b"".join(wire.event(kind, word) for word in words) + wire.ending(kind)


class Inside:
    """One gateway, and requests of one kind through it."""

    def __init__(
        self, folder: Path, kind: str, size: str, *, clock: Clock | None = None, keep: Callable[[record.Record], None] = lambda _: None
    ) -> None:
        os.environ[PROVIDER_KEY] = "sk-rehearsal-0000"
        (folder / "policies").mkdir()
        (folder / "policies" / "bench.yaml").write_text(policy())
        given = settings_for("http://127.0.0.1:1/v1", policies=str(folder / "policies"), data=str(folder / "data"))
        settings = Settings.model_validate(given)
        settings.data_path.mkdir()
        self._clock = clock or Clock()
        self.key = open_keys(settings).create(agent="bench-agent", now_us=self._clock.now_us())
        self.gateway = self._gateway(settings, load_policies(settings), kind, keep)
        self._request = wire.parted(wire.body(kind, size).decode().encode())
        self._dialect = DIALECTS["openai.chat"]
        self._endpoint = next(each for each in self._dialect.endpoints(wire.PATH) if each.method == "POST")

    def _gateway(self, settings: Settings, policies: PolicySet, kind: str, keep: Callable[[record.Record], None]) -> Gateway:
        secrets: list[Callable[[bytes], bytes]] = []
        journal: Any = FramedJournal(lambda data: secrets[0](data), keep)
        gateway = assemble(settings, policies, journal, Provider(kind), self._clock)
        secrets.append(gateway.redactor.data)
        return gateway

    async def once(self) -> bytes:
        """One request; what its client gets."""
        body = wire.mark(next(_NUMBERS)).join(self._request)
        headers = [
            ("host", "127.0.0.1"), ("content-type", "application/json"), ("authorization", f"Bearer {self.key}"),
            ("content-length", str(len(body))),
        ]  # fmt: skip

        async def whole() -> bytes:
            return body

        incoming = Incoming("POST", wire.PATH, "", headers, dict(headers), self._dialect, self._endpoint, whole)
        return b"".join([part async for part in relay(self.gateway, incoming) if not isinstance(part, Head)])

    async def many(self, times: int) -> None:
        for _ in range(times):
            await self.once()


@contextmanager
def inside(kind: str, size: str, **more: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        yield Inside(Path(folder), kind, size, **more)


def yardstick(times: int) -> int:
    """What stands for the machine's speed: calls, attributes, dictionaries and bytes, as a gateway has them."""
    seen: dict[str, int] = {}
    for number in range(times):
        name = f"name-{number % 97}"
        seen[name] = seen.get(name, 0) + len(name.encode())
    return sum(seen.values())


def _cpu_us(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e6


def timed(kind: str, size: str, times: int) -> tuple[float, float]:
    """CPU µs of a request, and the same in turns of the yardstick's 1,000: medians of the rounds."""
    with inside(kind, size) as one, asyncio.Runner() as runner:
        runner.run(one.many(times))
        gc.collect()
        gc.freeze()
        own, ratios = [], []
        for _ in range(ROUNDS):
            turn = _cpu_us(lambda: yardstick(20_000)) / 20
            spent = _cpu_us(lambda: runner.run(one.many(times))) / times
            own.append(spent)
            ratios.append(spent / turn)
    return statistics.median(own), statistics.median(ratios)


def counted(kind: str, size: str, times: int) -> Counter[str]:
    """Function calls of a request, by place: a file of the gateway, or what is not its own."""
    with inside(kind, size) as one, asyncio.Runner() as runner:
        runner.run(one.many(times))
        profile = cProfile.Profile()
        profile.enable()
        runner.run(one.many(times))
        profile.disable()
    found: Counter[str] = Counter()
    for (file, _, _), (_, calls, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        found["builtins" if file == "~" else file.partition("/gateway/")[2] or "others"] += calls
    return Counter({place: round(calls / times, 1) for place, calls in found.items()})  # type: ignore[misc]


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.inside", description="What the gateway's inside does for a request.")
    asked.add_argument("--kinds", default=";".join(KINDS), help=f"which, of {', '.join(KINDS)}; separated by ';'")
    asked.add_argument("--times", type=int, default=300, help="requests of each round (default 300)")
    asked.add_argument("--places", type=int, default=0, help="how many places to show, those with the most calls first (default none)")
    given = asked.parse_args()
    for name in given.kinds.split(";"):
        kind, size = KINDS[name]
        times = given.times // (10 if kind == "burst" else 1) or 1
        us, ratio = timed(kind, size, times)
        calls = counted(kind, size, times)
        report.write(f"{name:14}{us:9.1f} µs  {ratio:7.2f} yardsticks  {sum(calls.values()):9.1f} calls")
        for place, often in calls.most_common(given.places):
            report.write(f"  {often:8.1f}  {place}")


if __name__ == "__main__":
    sys.exit(main())
