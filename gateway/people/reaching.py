"""Requests to issuers: no redirects, no proxies of the environment, a bounded time and body."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

TIMEOUT_S = 5.0
MOST_BYTES = 512 * 1024


class Got(NamedTuple):
    status: int
    body: bytes


def fetch(url: str) -> bytes:
    """Raises OSError."""
    got = _sent(urllib.request.Request(url, headers=_HEAD))  # noqa: S310 - of the settings
    if got.status != 200:
        raise OSError(f"it answered {got.status}")
    return got.body


def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Got:
    """Whatever it answers. Raises OSError."""
    head = {**_HEAD, "content-type": "application/x-www-form-urlencoded", **headers}
    return _sent(urllib.request.Request(url, urlencode(form).encode(), head))  # noqa: S310 - of the settings


def _sent(request: urllib.request.Request) -> Got:
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise OSError(f"it answered more than {MOST_BYTES} bytes")
    return Got(answer.status, body)


_HEAD = {"accept": "application/json", "user-agent": "tollhouse"}
