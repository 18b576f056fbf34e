"""Who is asking, and whether the browser really sent what it seems to send.

1. A session is a cookie that scripts cannot read and other sites cannot make a browser send (HttpOnly, SameSite=Strict); behind https it is
   Secure and bound to this host (`__Host-`). What a browser takes to an issuer and back is one that other sites may lead to
   (Lax). The API beside the face takes no cookie, the face no bearer token.
2. A form is taken when its token fits the cookie *and* the browser says that it comes from a page of this origin (Sec-Fetch-Site, Origin).
   One of the two headers must be there; a wrong one refuses, whatever the other says.
3. Every page says what a browser may load and run: the two files of `static/`, nothing else, nothing inline; and may not be framed.
4. An address that fails to sign in ten times in a minute waits. Names do not: anybody could lock out anybody.
"""

from __future__ import annotations

import collections
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError
from gateway.face.accounts import LIFE_US
from gateway.web.answers import MAX_BODY, limited_body

HOME = "/ui"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    f"frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri {HOME}/csp-report"
)
SECURITY = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser's forms say `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
MOST_FAILURES, WINDOW_US = 10, 60 * 1_000_000
_MOST_ADDRESSES = 10_000
MOST_FIELDS = 100


FLOW_S = 600


class Cookies(NamedTuple):
    """The face's cookies: of a session, of a browser that is about to begin one, and of one that signs in by an issuer. `url` is
    where people reach the face from, where that is not the listener itself."""

    url: str | None

    @property
    def secure(self) -> bool:
        return self.url is not None and self.url.startswith("https:")

    def session(self, request: Request) -> str:
        return request.cookies.get(self._name("session"), "")

    def visitor(self, request: Request) -> str:
        return request.cookies.get(self._name("visitor"), "")

    def give_session(self, response: Response, token: str) -> None:
        self._give(response, "session", token, LIFE_US // 1_000_000)
        self._give(response, "visitor", "", 0)

    def take_session(self, response: Response) -> None:
        self._give(response, "session", "", 0)

    def give_visitor(self, response: Response, token: str) -> None:
        self._give(response, "visitor", token, 3600)

    def flow(self, request: Request) -> str:
        return request.cookies.get(self._name("flow"), "")

    def give_flow(self, response: Response, value: str) -> None:
        self._give(response, "flow", value, FLOW_S, "lax")

    def take_flow(self, response: Response) -> None:
        self._give(response, "flow", "", 0, "lax")

    def _give(self, response: Response, what: str, value: str, seconds: int, same_site: Literal["strict", "lax"] = "strict") -> None:
        response.set_cookie(self._name(what), value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite=same_site)

    def _name(self, what: str) -> str:
        return f"__Host-tollhouse-{what}" if self.secure else f"tollhouse-{what}"


def new_visitor() -> str:
    return secrets.token_urlsafe(18)


def form_token(cookie: str) -> str:
    """What forms of this browser carry. It does not give the cookie away."""
    return hashlib.sha256(b"tollhouse form token\x00" + cookie.encode("utf-8", "surrogatepass")).hexdigest()


async def form(request: Request, cookie: str, url: str | None) -> dict[str, str]:
    """The fields of a form that this browser was given. Raises GatewayError."""
    refuse_other_sites(request.headers, url)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _refused("not_a_form", "A form is sent as application/x-www-form-urlencoded.")
    body = await limited_body(request)
    if body is None:
        raise GatewayError("too_large", "too_large", f"A form may have {MAX_BODY} bytes; send less.")
    fields = _fields(body)
    if not cookie or not hmac.compare_digest(fields.pop("csrf", "").encode(), form_token(cookie).encode()):
        message = "This form is not of your session any more: you signed in or out since. Load the page again and send it anew."
        raise _refused("form_token", message)
    return fields


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise GatewayError("bad_request", "bad_form", f"The form cannot be read: {error}. Load the page again.") from error
    return once(pairs)


def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """What is said twice has no single meaning. Raises GatewayError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, many in collections.Counter(name for name, _ in pairs).items() if many > 1)
        raise GatewayError("bad_request", "said_twice", f"'{twice[:40]}' is said twice; say it once.")
    return found


def refuse_other_sites(headers: Mapping[str, str], url: str | None) -> None:
    """Raises GatewayError unless the browser says that its own page of this origin asks."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        message = "Whoever sends a form must say from where: 'Sec-Fetch-Site: same-origin' or 'Origin'. Use a browser of this decade."
        raise _refused("no_origin", message)
    if site not in (None, "same-origin") or (origin is not None and origin not in _own(headers, url)):
        message = "This form comes from another site, or from another address of this one. Use the address that the gateway printed."
        raise _refused("other_origin", message)


def _own(headers: Mapping[str, str], url: str | None) -> set[str]:
    """The listener checks `Host` before."""
    own = {f"http://{headers.get('host', '')}"}
    if url is not None:
        parts = urlsplit(url)
        own.add(f"{parts.scheme}://{parts.netloc}")
    return own


class Throttle:
    """Counts what failed, by address. In memory: the book is one process."""

    def __init__(self) -> None:
        self._failed: dict[str, list[int]] = {}

    def wait_s(self, address: str, now_us: int) -> int:
        """Seconds until this address may try again; 0 = now."""
        recent = self._recent(address, now_us)
        return 0 if len(recent) < MOST_FAILURES else (recent[-MOST_FAILURES] + WINDOW_US - now_us) // 1_000_000 + 1

    def failed(self, address: str, now_us: int) -> None:
        if len(self._failed) >= _MOST_ADDRESSES:
            self._failed = {each: recent for each in self._failed if (recent := self._recent(each, now_us))}
        while len(self._failed) >= _MOST_ADDRESSES:
            self._failed.pop(next(iter(self._failed)))
        self._failed[address] = [*self._recent(address, now_us), now_us][-MOST_FAILURES:]

    def _recent(self, address: str, now_us: int) -> list[int]:
        return [at for at in self._failed.get(address, ()) if at > now_us - WINDOW_US]


def _refused(code: str, message: str) -> GatewayError:
    return GatewayError("refused", code, message)
