"""Whose what is that providers keep, in Redis: a hash per answer or conversation, which ends by itself.

An answer is forgotten when the provider has forgotten it. Conversations have no end there; here one ends that nobody has gone on with for
`CONVERSATION_MS`, so that nothing grows for ever. What is forgotten or lost cannot be built on any more, which is the safe side.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.request import Owed, StoredKind, Tool
from gateway.sealing import CannotOpen, beside
from gateway.state.belongings import Belonging
from gateway.state.redis_line import Line, Value
from gateway.state.sqlite_belongings import KEPT_US

CONVERSATION_MS = 400 * 24 * 3600 * 1000
_OTHERWISE = "The state store cannot be used, so nobody can tell whose stored answer this is."
_FIELDS = ["owner", "upstream", "created", "owed", "tools", "settled"]
_owed = msgspec.msgpack.Decoder(tuple[Owed, ...]).decode
_tools = msgspec.msgpack.Decoder(tuple[Tool, ...]).decode


class RedisBelongings:
    """`data` is the data folder, whose secret seals what is kept: the same on every machine."""

    def __init__(self, line: Line, data: Path) -> None:
        self._line = line
        self._box = beside(data / "state", "belongings")
        self._keep, self._settle = line.script("redis_belongings"), line.script("redis_settle")

    def find(self, dialect: str, kind: StoredKind, name: str) -> Belonging | None:
        with self._line.asking(_OTHERWISE) as redis:
            found: Any = redis.hmget(self._name(dialect, kind, name), _FIELDS)
        owner, upstream, created, owed, tools, settled = found
        if owner is None:
            return None
        about = f"{dialect}/{kind}/{name}"
        try:
            return Belonging(
                kind,
                name,
                owner.decode(),
                upstream.decode(),
                int(created),
                _owed(self._box.open(owed, about)),
                _tools(zlib.decompress(self._box.open(tools, about))),
                settled == b"1",
            )
        except CannotOpen as error:
            raise _unreadable() from error

    def keep(self, dialect: str, belongings: Sequence[Belonging]) -> None:
        if not belongings:
            return
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            for each in belongings:
                self._keep([self._name(dialect, each.kind, each.id)], self._values(dialect, each), client=together)
            together.execute()

    def settle(self, dialect: str, kind: StoredKind, name: str) -> bool:
        with self._line.asking(_OTHERWISE):
            return bool(self._settle([self._name(dialect, kind, name)]))

    def forget(self, dialect: str, kind: StoredKind, name: str) -> None:
        with self._line.asking(_OTHERWISE) as redis:
            redis.delete(self._name(dialect, kind, name))

    def close(self) -> None:
        self._line.close()

    def _name(self, *whole: str) -> str:
        """A digest: clients choose ids, of any length."""
        return self._line.key("belonging", hashlib.sha256(msgspec.json.encode(whole)).hexdigest())

    def _values(self, dialect: str, of: Belonging) -> list[Value]:
        """Tools and texts are sealed: what agents may call is not for whoever reads the server."""
        about = f"{dialect}/{of.kind}/{of.id}"
        tools = self._box.seal(zlib.compress(msgspec.msgpack.encode(of.tools), 1), about)
        owed = self._box.seal(msgspec.msgpack.encode(of.owed), about)
        lasting = of.kind == "conversation"
        ends_ms = CONVERSATION_MS if lasting else KEPT_US // 1000
        return [of.owner, of.upstream, of.created_us, owed, tools, int(of.settled), ends_ms, int(lasting)]


def _unreadable() -> GatewayError:
    message = (
        "A stored answer was sealed under another secret, so nobody can tell what it owes. Every machine of an installation needs the same "
        "file 'secret' in its data folder."
    )
    return GatewayError("unavailable", "state_unavailable", message)
