"""Where labels of prompts point, which arms are out, and who came with which template, in Redis: the same for all machines.

One hash holds all moves, one the texts of versions that labels were moved to (sealed), one the arms that are out, and one sorted set per
agent what it came with, which ends by itself. A server that has lost them serves what front matter says, and tells of templates again; what
was halted is halted again by the book's next round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.prompt.library import Move, Moves
from gateway.prompt.trial import Outcome, Stop, Stops
from gateway.sealing import CannotOpen, beside
from gateway.state.prompts import MOST_MET, Met
from gateway.state.redis_line import Line
from gateway.state.sqlite_prompts import KEPT_US

_OTHERWISE = "The state store cannot be used, so nobody can tell where the labels of prompts point and what was halted."
_field = msgspec.json.Decoder(tuple[str, str]).decode
_move = msgspec.json.Decoder(Move).decode


class RedisPrompts:
    """`data` is the data folder, whose secret seals what is kept: the same on every machine."""

    def __init__(self, line: Line, data: Path) -> None:
        self._line = line
        self._box = beside(data / "state", "prompts")
        self._labels, self._sources = line.key("prompt-labels"), line.key("prompt-sources")
        self._stops, self._decided = line.key("experiment-stops"), line.key("experiment-stops", "last")
        self._met = line.script("redis_met")

    def moves(self) -> Moves:
        with self._line.asking(_OTHERWISE) as redis:
            rows: Any = redis.hgetall(self._labels)
        found: dict[str, dict[str, Move]] = {}
        for field, move in sorted(rows.items()):
            name, label = _field(field)
            found.setdefault(name, {})[label] = _move(move)
        return found

    def move(self, name: str, label: str, to: Move, sources: Mapping[str, str]) -> None:
        """The texts go first, so that no machine sees a label without its version."""
        texts: dict[Any, Any] = {
            f"{name}/{version}": self._box.seal(source.encode(), f"{name}/{version}") for version, source in sources.items()
        }
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            if texts:
                together.hset(self._sources, mapping=texts)
            together.hset(self._labels, msgspec.json.encode((name, label)).decode(), msgspec.json.encode(to).decode())
            together.execute()

    def source(self, name: str, version: str) -> str | None:
        with self._line.asking(_OTHERWISE) as redis:
            sealed: Any = redis.hget(self._sources, f"{name}/{version}")
        try:
            return self._box.open(sealed, f"{name}/{version}").decode() if sealed is not None else None
        except CannotOpen as error:
            raise _unreadable() from error

    def stops(self) -> Stops:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            together.hgetall(self._stops)
            together.hgetall(self._decided)
            rows, last = together.execute()
        found: dict[str, dict[str, Outcome]] = {}
        for field, outcome in sorted(rows.items()):
            design, arm = _field(field)
            found.setdefault(design, {})[arm] = outcome.decode()
        return {design: Stop(*_field(last[design.encode()]), arms) for design, arms in found.items()}

    def stop(self, design: str, out: Stop) -> None:
        arms: dict[Any, Any] = {msgspec.json.encode((design, arm)).decode(): outcome for arm, outcome in out.arms.items()}
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            together.hset(self._stops, mapping=arms)
            together.hset(self._decided, design, msgspec.json.encode((out.experiment, out.edition)).decode())
            together.execute()

    def met(self, who: str, what: str, now_us: int) -> Met:
        with self._line.asking(_OTHERWISE):
            new, count = self._met([self._name(who)], [what, now_us, now_us - KEPT_US, MOST_MET, KEPT_US // 1000])
        return Met(bool(new), int(count))

    def close(self) -> None:
        self._line.close()

    def _name(self, who: str) -> str:
        return self._line.key("prompts-met", hashlib.sha256(who.encode()).hexdigest())


def _unreadable() -> GatewayError:
    message = (
        "The text of a prompt was sealed under another secret, so its label cannot be served. Every machine of an installation needs the "
        "same file 'secret' in its data folder."
    )
    return GatewayError("unavailable", "state_unavailable", message)
