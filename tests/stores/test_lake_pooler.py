"""A pooler between a book and PostgreSQL (PgBouncer) hides whose sessions are whose, so it is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.stores.ducklake import Lake
from gateway.stores.lake_connecting import reach
from tests.patience import PATIENCE_S, until

SETTINGS = """\
[databases]
* = host={server} port=5432
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {folder}
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
logfile = {folder}/log
"""


@pytest.fixture(params=["session", "transaction"])
def pooled(request: pytest.FixtureRequest, postgres: Any, lake_place: LakePlace) -> Iterator[LakePlace]:
    """The place of a lake, through a pooler."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on this machine: apt install pgbouncer")
    folder = Path(postgres.folder) / f"pooler-{request.param}"  # the path of a socket is short
    folder.mkdir()
    (folder / "users").write_text(f'"fleet" "{postgres.PASSWORD}"\n')
    (folder / "ini").write_text(SETTINGS.format(server=postgres.folder, folder=folder, mode=request.param))
    if os.geteuid() == 0:
        for each in (folder, *folder.iterdir()):
            shutil.chown(each, "nobody", "nogroup")
    process = subprocess.Popen([program, "-q", str(folder / "ini")], cwd="/", stderr=subprocess.DEVNULL, **postgres._as)
    until(lambda: listens(folder / ".s.PGSQL.5432"), what="PgBouncer starts")
    yield lake_place._replace(catalogue=lake_place.catalogue.replace(f"host={postgres.folder}", f"host={folder}"))
    process.kill()
    process.wait(PATIENCE_S)
    shutil.rmtree(folder)


def listens(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(place)) == 0


def test_a_lake_behind_a_pooler_is_refused_at_the_start_and_by_the_doctor(pooled: LakePlace) -> None:
    for opened in (lambda: Lake(pooled, "1" * 32), lambda: reach(pooled)):
        with pytest.raises(StartError, match=r"something that pools connections is between.*name the server itself in 'ledger'"):
            opened()
