"""What a key may be used for: which dialects, models and upstreams. Pure.

1. What a scope does not name is not bounded by it; what it names is a closed list.
2. Names are exact, case included; of models also globs (`*` and `?`, as in `routes`), over the model as the request writes it.
3. A key bound to models is not for requests whose model nobody reads (`pass_through`). What names no model because it has none (a stored
   answer fetched again, a list of models) is bounded by dialect and upstream alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from gateway.errors import GatewayError


class KeyScope(Struct, frozen=True, omit_defaults=True):
    """None: all of them."""

    dialects: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    upstreams: tuple[str, ...] | None = None


ANYTHING = KeyScope()


def refuse_dialect(scope: KeyScope, dialect: str) -> None:
    """Raises GatewayError."""
    if scope.dialects is not None and dialect not in scope.dialects:
        raise _outside("dialect", dialect, scope.dialects)


def refuse_model(scope: KeyScope, model: str, *, read: bool) -> None:
    """`read` says whether the request was read, so that its model is known. Raises GatewayError."""
    if scope.models is None or (read and not model):
        return
    if not read:
        raise _outside("model", "of a request that is passed through unread", scope.models)
    if not any(_pattern(glob).fullmatch(model) for glob in scope.models):
        raise _outside("model", f"'{model[:100]}'", scope.models)


def refuse_upstream(scope: KeyScope, upstream: str) -> None:
    """Raises GatewayError."""
    if scope.upstreams is not None and upstream not in scope.upstreams:
        raise _outside("upstream", f"'{upstream}'", scope.upstreams)


@lru_cache(1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."))


def _outside(what: str, found: str, known: tuple[str, ...]) -> GatewayError:
    message = (
        f"This API key is not for the {what} {found}; it is for {', '.join(known) or 'none'}. Use another key, or have one made: "
        f"tollhouse keys create --{what}"
    )
    return GatewayError("refused", "outside_key_scope", message, param="model" if what == "model" else None)
