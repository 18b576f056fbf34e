"""What a request carries on its way: the gateway's parts, the client's side, and how far it has come."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.afterwards import Afterwards, Due
from gateway.answer_cache import AnswerCache
from gateway.bookkeeping import Bookkeeping
from gateway.clock import Clock
from gateway.config import Settings
from gateway.cost import PriceTable
from gateway.dialects import Dialect, Stream
from gateway.dialects.events import Broken
from gateway.errors import GatewayError
from gateway.exchange import Caller, EndState, Exchange, Storing
from gateway.journal import Journal
from gateway.judge import Court
from gateway.late_ends import LateEnds
from gateway.leases import Holding, Leases
from gateway.mirrors import Mirrors
from gateway.policy import PolicySet, Reading, Told
from gateway.policy.screen import Hit
from gateway.prompt.library import EMPTY as NO_PROMPTS
from gateway.prompt.library import Library
from gateway.recent import Recent
from gateway.request import Endpoint, Owed, Request
from gateway.scope import ANYTHING, KeyScope
from gateway.screening.keys import KeyWatch
from gateway.screening.streamed import Screening, Watching
from gateway.state.approvals import Approvals
from gateway.state.asking import Asking, at_once
from gateway.state.belongings import Belonging, Belongings
from gateway.state.issued import Issued
from gateway.state.keys import Keys
from gateway.state.limits import Limits
from gateway.state.prompts import Prompts
from gateway.state.reservations import Reservations
from gateway.state.sessions import Sessions
from gateway.trace.redact import Flow, Redactor
from gateway.trace.scribe import Scribe
from gateway.upstream.client import ProviderAnswer, UpstreamClient
from gateway.upstream.replay import Noted
from gateway.upstream.routing import Routes, Target
from gateway.validators.looks import NO_LOOKS, Looks
from gateway.verdict import Call, Finding, Verdict
from gateway.waiting import WaitingRoom

if TYPE_CHECKING:  # a library for signatures that only an installation with issuers needs
    from gateway.people.passes import Passes


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything a request needs, fixed for its length: hot reload puts a new bundle in place between requests."""

    settings: Settings
    policies: PolicySet
    routes: Routes
    prices: PriceTable
    journal: Journal
    upstream: UpstreamClient
    keys: Keys
    belongings: Belongings
    approvals: Approvals
    waiting: WaitingRoom
    limits: Limits
    issued: Issued
    sessions: Sessions
    prompt_store: Prompts
    scribe: Scribe
    redactor: Redactor
    prompts: Library = NO_PROMPTS
    clock: Clock = field(default_factory=Clock)
    ask: Asking = at_once
    """How stores are asked on the way of a request."""
    state_problem: Callable[[], str | None] = lambda: None
    """Why the state store cannot be used now."""
    reading: Reading = field(default_factory=Reading)
    """Messages that conditions have asked about, each read once."""
    looks: Looks = NO_LOOKS
    """What every answer is looked through for."""
    leases: Leases = field(default_factory=Leases)
    """What running requests hold of budgets."""
    afterwards: Afterwards = field(default_factory=Afterwards)
    """Answers about which a model shall be asked when they have left."""
    late_ends: LateEnds = field(default_factory=LateEnds)
    """Of exchanges whose end the journal refused."""
    mirrors: Mirrors = field(default_factory=Mirrors)
    """Who is asked beside requests."""
    chance: Callable[[], float] = random.random
    """From [0, 1): shares the requests of a route among its targets."""
    met: Recent[bool] = field(default_factory=lambda: Recent(1024 * 1024))
    """Who has come with which prompt, as far as this worker need not ask the store."""
    cache: AnswerCache | None = None
    """Answers to be given again; None where the settings want none."""
    passes: Passes | None = None
    """Tokens that issuers sign for agents; None where the settings name no issuer."""
    draining: bool = False

    @property
    def keys_required(self) -> bool:
        match self.settings.keys:
            case "required":
                return True
            case "optional":
                return False
        if self.passes is not None and self.passes.for_agents:
            return True
        if self.settings.state_place is not None:  # a server that has lost all keys must not open the door
            return True
        return not self.settings.listen_address.loopback or self.keys.any_created()


class Own(msgspec.Struct, frozen=True):
    """The gateway itself asks: nobody has to prove who it is, and no model is asked about the answer."""

    caller: Caller
    storing: Storing
    """What is kept of it."""


class Incoming(msgspec.Struct, eq=False):
    """A request as the server hands it over. Header names are lower case; `path` is the raw path without query."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    named: Mapping[str, str]
    """The headers by name; of one that comes more than once, the last."""
    dialect: Dialect
    endpoint: Endpoint | None
    """None when nothing is served there; `refusal` then says so."""
    body: Callable[[], Awaitable[bytes]]
    refusal: GatewayError | None = None
    """Set when the server already knows that this cannot be served (wrong path, wrong method, an upgrade)."""
    gone: EndState = "client_gone"
    """What a cancellation means: the server sets `interrupted` when it is shutting down."""
    own: Own | None = None
    """Never of a request that came in from outside."""


class Withheld(msgspec.Struct, frozen=True):
    """A verdict over the words of an answer."""

    verdict: Verdict
    text: str
    """What the client is told in their place."""
    finding: Finding
    rounds: int = 0
    """How often the model may be asked to write the answer anew."""
    failed: tuple[str, ...] = ()
    """What it did not meet, for the model."""


class Looking(Protocol):
    """What looks at the answer that is running."""

    def finish(self, *, complete: bool) -> None:
        """Nothing follows. `complete`: it was all there."""


class Head(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]


class Again(msgspec.Struct):
    """A question after the first: the model is asked again."""

    request: Request
    asked_us: int
    """Monotonic."""
    sent: bool = False
    """It was given up while it was asked, and some of it may have reached the provider."""


class Visit(msgspec.Struct, eq=False):
    """The state of one request on its way; only `pipeline` and `answering` touch it."""

    gateway: Gateway
    incoming: Incoming
    x: Exchange
    book: Bookkeeping
    flow: Flow
    """Through which every byte of the answer leaves."""
    started: int
    reserved: Reservations
    """What its calls have taken from limits and nobody has used yet."""
    scope: KeyScope = ANYTHING
    """What the key is for."""
    holding: Holding | None = None
    """What it holds of budgets."""
    holdings: list[Holding] = msgspec.field(default_factory=list)
    """What earlier rounds of it hold."""
    court: Court | None = None
    stream: Stream | None = None
    target: Target | None = None
    """Of a route: the one that was asked last."""
    asked_for_counts: bool = True
    """Whoever was asked last was asked for token counts where the client was not: they are not the client's."""
    asked: int | None = None
    """Monotonic µs when the provider was asked."""
    reached: bool = True
    """False: nothing of the first question left for its provider."""
    failed: bool = False
    """Every attempt so far has failed, each is settled by itself, and none is under way."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    belongings: tuple[Belonging, ...] = ()
    """What the provider keeps for this caller and this request needs."""
    owed: list[Owed] = msgspec.field(default_factory=list)
    """Calls of this answer that were withheld."""
    paid: bool = False
    """The answer's cost is already on record."""
    kept: bool = False
    """Whose the answer is has been written down."""
    round: list[tuple[Call, Verdict, str]] = msgspec.field(default_factory=list)
    """The calls of the running answer, each with its verdict and, when it was withheld, the text in its place."""
    spoilt: Callable[[str, bytes], None] | None = None
    """Tells the target whose answer is running that this came to nothing, by the error's code and, where it is one of the provider's, its
    frame. None where no route has a target."""
    issued: list[bytes] = msgspec.field(default_factory=list)
    """Digests of released calls that are not written down yet."""
    forged: frozenset[Told] = frozenset()
    """What the request tells of earlier calls and never happened, where this gateway has seen the conversation from its beginning."""
    again: Callable[[bytes], AbstractAsyncContextManager[tuple[Request, ProviderAnswer]]] | None = None
    """Asks the provider once more."""
    latest: Again | None = None
    """The last question, where the model was asked again."""
    opening: bytes = b""
    """What an answer begins with and says nothing, kept back while a denial could still do something else than explain."""
    held_until: int | None = None
    """Monotonic µs until when this answer waits for people; set when it first does."""
    denied: str = ""
    """Id of the first decision that withheld a call."""
    stopped: bool = False
    """A denial of this answer has stopped the session."""
    screening: Screening[Hit] | Watching[Hit] | None = None
    """What looks at the words of the running stream; None where no rule does."""
    output: Looking | None = None
    due: Due | None = None
    """What a model shall be asked about its answer, when that has left."""
    repaired: int = 0
    """Rounds in which the model was asked to write its answer anew."""
    cached_as: str = ""
    """The name under which its answer is kept, or was found; empty where neither may be."""
    noted: Noted | None = None
    """The provider's answer, remembered as it is read."""
    keys: KeyWatch | None = None
    """What keeps the gateway's own secrets out of the words of the running stream."""
    withheld: Withheld | None = None
    """Why the answer was withheld from some place on; no call behind that place is delivered."""
    finishing: bool = False
    broken: Broken | None = None
    undecodable: Broken | None = None
    """Observing only: why the answer could not be decoded."""
    provider_left: bool = False
    """The provider's connection ended."""
    answering: bool = False
    """The head of a streamed answer has left."""
    begun: bool = False
    """Something of the answer has left, beyond signs of life: no other can take its place."""
