"""Browsers that are signed in, in Redis: for every gateway that shares the server.

What a sign-in is never changes; when it was last used lies beside it. Whoever notes that cannot bring back one that was ended meanwhile.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.state.access import SEEN_EVERY_US, alive, random_token, token_hash
from gateway.state.redis_line import Line
from gateway.state.sign_ins import SignIn

_OTHERWISE = "Who is signed in cannot be read."
_record = msgspec.json.Decoder(SignIn).decode
_encode = msgspec.json.Encoder().encode


class RedisSignIns:
    def __init__(self, line: Line) -> None:
        self._line, self._names, self._seen = line, line.key("sign-ins"), line.key("sign-ins", "seen")

    def begin(self, new: SignIn) -> str:
        token, stored = random_token()
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            ended = [key for key, each in self._read(redis).items() if not alive(each, new.begun_us)]
            if ended:
                together.hdel(self._names, *ended)
                together.hdel(self._seen, *ended)
            together.hset(self._names, stored.hex(), _encode(new))
            together.execute()
        return token

    def find(self, token: str, now_us: int) -> SignIn | None:
        key = token_hash(token).hex()
        with self._line.asking(_OTHERWISE) as redis:
            body, seen = redis.hget(self._names, key), redis.hget(self._seen, key)
            found = None if body is None else _with(body, seen)
            if found is None or not alive(found, now_us):
                return None
            if found.seen_us < now_us - SEEN_EVERY_US:
                redis.hset(self._seen, key, str(now_us))
        return found

    def end(self, name: str, of: str | None = None) -> bool:
        with self._line.asking(_OTHERWISE) as redis:
            wanted = [key for key, each in self._read(redis).items() if each.id == name and of in (None, each.name)]
            if wanted:
                redis.hdel(self._names, *wanted)
                redis.hdel(self._seen, *wanted)
        return bool(wanted)

    def every(self, now_us: int) -> list[SignIn]:
        with self._line.asking(_OTHERWISE) as redis:
            found = [each for each in self._read(redis).values() if alive(each, now_us)]
        return sorted(found, key=lambda each: (-each.seen_us, each.id))

    def close(self) -> None:
        self._line.close()

    def _read(self, redis: Any) -> dict[str, SignIn]:
        seen = redis.hgetall(self._seen)
        return {key.decode(): _with(body, seen.get(key)) for key, body in redis.hgetall(self._names).items()}


def _with(body: bytes | str, seen: bytes | str | None) -> SignIn:
    found = _record(body)
    return found if seen is None else msgspec.structs.replace(found, seen_us=int(seen))
