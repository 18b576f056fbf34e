"""The process that is the book: `python -m gateway.book_process`. One per data folder; the supervisor starts it, and starts it again.

It holds the folder's lock, bounds its own memory, opens the store that the settings name and serves the admin plane on a port of its own.
It ends on SIGTERM, SIGINT or, with `--watch-stdin`, when the parent is gone: first the journal is read to its end.

Not here: how the journal is read and asked about (`book.py`), what the admin plane offers (`web/`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import clock, logs
from gateway.ageing import Ageing
from gateway.book import Book
from gateway.config import Settings
from gateway.cycles import look_rarely
from gateway.errors import StartError
from gateway.listening import bound
from gateway.notary import Notary
from gateway.own_journal import OwnJournal
from gateway.question.snapshots import Snapshots
from gateway.stores import Refused
from gateway.trace.redact import Redactor

if TYPE_CHECKING:  # loaded when it serves
    from starlette.requests import Request

    from gateway.state.approvals import Approvals
    from gateway.telemetry.late import LateObservatory
    from gateway.telemetry.opening import Observatory
    from gateway.web.doors import Bearer, Room

log = logging.getLogger(__name__)

MOST_PENDING = 100_000
"""Calls that wait for a person are counted up to here."""
LOG_FORM = "%(asctime)s %(levelname)s book: %(message)s"
ADDRESS_SPACE = 4 * 1024**3
"""Bytes. DuckDB's memory limit does not bound what a query's functions allocate; the process's address space does."""


def main(
    data: Path, host: str, port: int, *, settings: Path | None = None, watch_stdin: bool = False, run: str | None = None
) -> int:
    """Runs the book of a data folder until it is told to stop; 0 when it stopped in order. Raises StartError."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(data / "book.lock"), contextlib.closing(_place(host, port)) as place:
        _bound_memory()
        from gateway.stores.chosen import opener
        from gateway.stores.setting_aside import set_aside
        from gateway.stores.unwanted import refuse_unwanted

        refuse_unwanted()
        said = _read(settings)
        logs.configure(Redactor(said.telemetry.secrets(os.environ)), form=LOG_FORM, style=said.log, process="book")
        notary = Notary(data, data / "journal", said.heads, clock.now_us)
        book = Book(
            data / "journal",
            opener(said.ledger, data, _die, lambda: said.cutoffs(clock.now_us())),
            set_aside=lambda broken: set_aside(broken, "it was broken twice in a row"),
            own=OwnJournal(data / "journal", run, max_total_bytes=said.journal.max_bytes, max_segment_s=said.segment_seconds),
            notary=notary,
            ageing=Ageing(data / "journal", notary, lambda: said.cutoffs(clock.now_us())),
            snapshots=Snapshots(data / "snapshots", said.snapshots.keep),
        )
        asyncio.run(_serve(book, data, place, said, watch_stdin=watch_stdin))
    return 0


def _place(host: str, port: int) -> socket.socket:
    """The supervisor holds the port meanwhile, so it is shared."""
    try:
        return bound(host, port)
    except OSError as error:
        raise StartError(f"the admin plane cannot have {host}:{port}: {error.strerror}") from error


def _read(settings: Path | None) -> Settings:
    return Settings() if settings is None else Settings.model_validate_json(settings.read_bytes())


async def _serve(book: Book, data: Path, place: socket.socket, settings: Settings, *, watch_stdin: bool) -> None:
    import uvicorn

    from gateway import news
    from gateway.budget_news import BUDGETS
    from gateway.experiment_news import EXPERIMENTS
    from gateway.face.opening import hosts, open_face
    from gateway.front import front
    from gateway.installation import open_approvals, open_people, open_prompts, open_vault
    from gateway.limit_settings import Limits, Timeouts
    from gateway.moving_labels import Labels
    from gateway.privacy import opening, rooms
    from gateway.prompt_news import PROMPTS
    from gateway.rollout.ruling import Rulings
    from gateway.rollout.watching import Watch, watch
    from gateway.web import admin
    from gateway.web.approvals import ApprovalsDesk
    from gateway.web.doors import Doors, admin_token, of_people
    from gateway.web.token import read_or_create
    from gateway.webhooks import read_hooks, tell

    approvals = open_approvals(settings.model_copy(update={"data": str(data)}))
    hooks = read_hooks(settings.approvals.webhooks, os.environ)
    people = ApprovalsDesk(approvals, settings.approvals, clock.now_us)
    names = [place.getsockname()[0], settings.admin_address.host, "127.0.0.1", "localhost", "::1", *hosts(settings)]
    own_queries = Path(settings.queries) if settings.queries else None
    here = settings.model_copy(update={"data": str(data)})
    folder, shared = Path(settings.prompts) if settings.prompts else None, open_prompts(here)
    labels = Labels(folder, data, shared, book.write, clock.now_us, lambda: str(clock.uuid7()))
    rulings = Rulings(shared, labels, book.write, clock.now_us, lambda: str(clock.uuid7()))
    watched = None if folder is None else Watch(labels, book.fetch, rulings, clock.now_us, lambda: book.caught_up)
    observatory = _observe(book, settings, approvals)
    more = [*rooms(settings, data, book, approvals, labels, rulings), _metrics(observatory, settings)]
    folks = open_people(here)
    ways = [admin_token(read_or_create(data / "admin.token")), of_people(folks.find, clock.now_us), *_passes(settings)]
    face = open_face(here, book, approvals, opening(open_vault(here)), labels, rulings)
    app = admin.create(book, Doors(ways), names, people, more, own_queries, face)
    config = uvicorn.Config(
        app,
        http=front(Limits(), Timeouts()),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    setattr(server, "capture_signals", contextlib.nullcontext)  # noqa: B010 - the signals are ours: they end the reading first
    look_rarely()
    stop = threading.Event()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    if watch_stdin:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _when_closed, told)
    reading = asyncio.create_task(asyncio.to_thread(book.run, stop))
    serving = asyncio.create_task(server.serve(sockets=[place]))
    telling = asyncio.create_task(tell(approvals, hooks, clock.now_us))
    newsing = asyncio.create_task(news.tell((BUDGETS, EXPERIMENTS, PROMPTS), book.fetch, hooks, clock.now_us))
    watching = asyncio.create_task(watch(watched))
    publishing = asyncio.create_task(_publish(book, settings.snapshots.every))
    ageing = asyncio.create_task(book.let_own_age())
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({reading, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    server.should_exit = True
    stopping.cancel()
    telling.cancel()
    newsing.cancel()
    watching.cancel()
    publishing.cancel()
    ageing.cancel()
    await asyncio.gather(reading, serving)
    await book.close_own()
    await asyncio.to_thread(observatory.close)


def _passes(settings: Settings) -> list[Bearer]:
    if not settings.issuers:
        return []
    from gateway.people.passes import Passes

    return [Passes(settings.issuers).person]


def _observe(book: Book, settings: Settings, approvals: Approvals) -> LateObservatory:
    """Raises StartError."""
    from gateway.telemetry.late import LateObservatory
    from gateway.web.content import Reader

    reader = Reader(book.fetch, lambda text, about: text)  # what is sealed stays so

    def opened() -> Observatory:
        from gateway.telemetry.opening import Observatory

        made = Observatory(
            settings.telemetry,
            book.fetch,
            clock.now_us,
            standing=book.status,
            pending=lambda: len(approvals.every("pending", MOST_PENDING)),
            shown=reader.exchange,
        )
        made.start()
        return made

    observatory = LateObservatory(opened, at_once=bool(settings.telemetry.traces or settings.telemetry.metrics))
    book.told_to(observatory.tell, observatory.untold)
    return observatory


def _metrics(observatory: LateObservatory, settings: Settings) -> Room:
    """Raises StartError."""
    from starlette.responses import Response

    from gateway.web.answers import SECURITY
    from gateway.web.doors import Room

    async def page(request: Request) -> Response:
        body, media_type = await asyncio.to_thread(observatory.page, request.headers.get("accept", ""))
        return Response(body, headers={**SECURITY, "content-type": media_type})

    return Room("GET", "/metrics", page, "see-metadata", key=settings.telemetry.secret_scrape_token(os.environ))


async def _publish(book: Book, every: float) -> None:
    """A snapshot now and then; one that fails is told and tried again when the next is due."""
    while every > 0:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(book.snapshot)
        except Refused as refused:
            log.warning("no snapshot was made: %s", refused.message)


def _when_closed(told: asyncio.Event) -> None:
    """The supervisor holds the other end of our stdin: when it is gone, so are we."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        told.set()


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Whoever writes a data folder's ledger holds this. Raises StartError."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(f"another book is at work in {lock.parent}; stop that gateway, or use another data folder") from error
        yield


def _bound_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = ADDRESS_SPACE if hard == resource.RLIM_INFINITY else min(ADDRESS_SPACE, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # below numpy: it sets aside address space for each core


def _die() -> None:
    """A query ignores its interruption. The journal has everything: the supervisor starts the book again."""
    log.critical("a query cannot be stopped; the book ends and is started again")
    os.kill(os.getpid(), signal.SIGKILL)


def _arguments() -> argparse.Namespace:
    what = "reads the journal into the ledger, serves the admin plane"
    parser = argparse.ArgumentParser(prog="python -m gateway.book_process", description=what)
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8485)
    parser.add_argument("--settings", type=Path, help="resolved settings (JSON), written by the supervisor")
    parser.add_argument("--run", help="id of the run of the gateway that this book belongs to")
    parser.add_argument("--watch-stdin", action="store_true", help="end when stdin is closed")
    return parser.parse_args()


def run() -> int:
    """Process entry: one clean message instead of a traceback."""
    logs.configure(Redactor(()), form=LOG_FORM)
    os.umask(0o077)
    given = _arguments()
    try:
        return main(
            given.data, given.host, given.port, settings=given.settings, watch_stdin=given.watch_stdin, run=given.run
        )
    except StartError as error:
        log.error("%s", error)  # noqa: TRY400 - the message is for people, the traceback is not
        return 3


if __name__ == "__main__":
    sys.exit(run())
