"""Digests that a worker remembers to be known, so that a conversation it serves costs a look-up only for what is new.

Asked and told from the event loop and from threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection

MOST = 100_000
CLEARED_EVERY = 1_000
"""Keepings, after which all is forgotten: the store may have let some of it go."""


class Sure:
    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._shrinking = threading.Lock()

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        return frozenset(digest for digest in digests if (owner, digest) in self._known)

    def add(self, owner: str, digests: Collection[bytes]) -> None:
        for digest in digests:
            self._known[owner, digest] = None
        if len(self._known) > MOST:
            with self._shrinking:
                while len(self._known) > MOST:
                    self._known.popitem(last=False)

    def clear(self) -> None:
        with self._shrinking:
            self._known.clear()
