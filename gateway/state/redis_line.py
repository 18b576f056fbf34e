"""The line to a Redis or Valkey server, which all stores of a process share.

1. Whatever goes wrong on it is GatewayError('unavailable'): nobody passes because nobody could be asked.
2. A question is never asked twice by itself: a script whose answer was lost may have run, and would take twice. Connections that the server
   has closed are found before they are used, so a server that comes back is used at once.
3. A server that does not answer costs each question `PATIENCE_S`; after that, nobody waits for it for `PAUSE_S`.
4. Names of keys begin with the prefix in braces: all of them are in one slot, as scripts want it.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from gateway.errors import GatewayError
from gateway.redis_place import Place

log = logging.getLogger("gateway.state")

PATIENCE_S = 1.0
PAUSE_S = 0.5
IDLE_S = 30
"""A connection that was idle for so long is tried before it is used."""
CONNECTIONS = 128
RETRY_AFTER_S = 5

Value = str | int | bytes


class Line:
    """`password` None: the server wants none. `ca` is the file of the authority that signed the server's certificate."""

    def __init__(self, place: Place, password: str | None, ca: str | None = None) -> None:
        self.place = place
        self._silent_until = 0.0
        self._told = False
        encrypted: dict[str, Any] = {"ssl": True, "ssl_ca_certs": ca, "ssl_min_version": ssl.TLSVersion.TLSv1_2} if place.tls else {}
        self.redis = redis.Redis(
            place.host,
            place.port,
            place.db,
            username=place.user,
            password=password,
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
            health_check_interval=IDLE_S,
            retry=Retry(NoBackoff(), 0),
            max_connections=CONNECTIONS,
            client_name="tollhouse",
            protocol=2,
            **encrypted,
        )

    def key(self, *parts: str) -> str:
        return ":".join((f"{{{self.place.prefix}}}", *parts))

    def script(self, name: str) -> Script:
        """The Lua of the file beside this one; the server gets its text when it does not know it."""
        return self.redis.register_script((Path(__file__).parent / f"{name}.lua").read_text())

    @contextmanager
    def asking(self, otherwise: str) -> Iterator[redis.Redis]:
        """`otherwise` says what cannot be known or done when the server cannot be used."""
        if time.monotonic() < self._silent_until:
            raise _unavailable(otherwise)
        try:
            yield self.redis
            if self._told:
                self._told = False
                log.warning("%s answers again", self.place)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._silent_until = time.monotonic() + PAUSE_S
            self._tell(error)
            raise _unavailable(otherwise) from error
        except redis.ReadOnlyError as error:  # another server has taken over: its name is looked up anew
            self.redis.connection_pool.disconnect()
            self._tell(error)
            raise _unavailable(otherwise) from error
        except redis.RedisError as error:
            self._tell(error)
            raise _unavailable(otherwise) from error

    def _tell(self, error: Exception) -> None:
        """Once, until it can be used again."""
        if not self._told:
            self._told = True
            log.error("%s cannot be used: %s", self.place, error)

    def problem(self) -> str | None:
        """Why the server cannot be used now; None when it can."""
        try:
            with self.asking("The state store cannot be used.") as server:
                server.ping()
        except GatewayError as error:
            return f"{self.place} cannot be used: {error.__cause__ or 'it did not answer a moment ago'}"
        return None

    def close(self) -> None:
        """Idle connections only: other stores use the line, too. They are opened again when somebody asks."""
        self.redis.connection_pool.disconnect(inuse_connections=False)


def fields(answer: Sequence[bytes]) -> dict[str, str]:
    """A hash of text, as scripts return it."""
    return text(dict(zip(answer[::2], answer[1::2], strict=True)))


def text(found: Mapping[Any, Any]) -> dict[str, str]:
    """A hash of text, as the client returns it."""
    return {name.decode(): value.decode() for name, value in found.items()}


def _unavailable(otherwise: str) -> GatewayError:
    return GatewayError("unavailable", "state_unavailable", f"{otherwise} Try again shortly.", retry_after=RETRY_AFTER_S)
