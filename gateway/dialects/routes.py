"""Closed tables of routes: which exact paths a dialect serves, under every prefix that real clients put before them.

Clients disagree on whether a base URL ends in `/v1`, and some send no version at all, so each route is listed under each prefix. There is
no pattern and no normalisation: a path that is not in the table is not served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.request import Endpoint


def table(prefixes: Iterable[str], endpoints: Iterable[Endpoint]) -> Mapping[str, tuple[Endpoint, ...]]:
    """Path -> what is served there, one endpoint per method. An endpoint is reached under each prefix followed by its upstream path."""
    found: dict[str, tuple[Endpoint, ...]] = {}
    listed = tuple(endpoints)
    for prefix in prefixes:
        for endpoint in listed:
            path = prefix + endpoint.upstream_path
            found[path] = (*found.get(path, ()), endpoint)
    return found
