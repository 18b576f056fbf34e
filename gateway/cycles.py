"""When Python looks for garbage that refers to itself, in processes that serve for long."""

from __future__ import annotations

import gc

RARELY = (20_000, 20, 20)
"""What is served leaves no cycles, so that only what is under way moves the count; with Python's own 700 the looking took one part in
twenty of a worker's time, and of the book's. With more than this, what leaves some all the same would grow by hundreds of its bodies."""


def look_rarely() -> None:
    """What is here now stays: looking it all through would stop every stream for some 20 ms now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARELY)
