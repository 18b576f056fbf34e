"""kill -9 on a worker, on the book, on both, at random moments under load: no answered request is without its record, none has two, and
the journal proves sound afterwards.

`TOLLHOUSE_KILLS` sets the number of moments (default 10).
"""

from __future__ import annotations

import os
import random
import signal
import time

from gateway.heads_log import signing_key
from gateway.proof import prove
from tests.patience import until

KILLS = int(os.environ.get("TOLLHOUSE_KILLS", "10"))


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_no_answered_request_is_without_its_record_and_none_has_two(gateway_in, kit):
    choose = random.Random(20261121)
    with gateway_in() as gateway:
        load = kit.Load(gateway.url)
        for _ in range(KILLS):
            until(lambda: gateway.ready() and gateway.processes()["book"])
            time.sleep(choose.uniform(0.0, 1.0))
            alive = gateway.processes()
            victims = {
                "worker": alive["worker"][:1],
                "book": alive["book"],
                "both": alive["worker"] + alive["book"],
            }[choose.choice(["worker", "book", "both"])]
            kill(victims)
        load.stop()
    with gateway_in() as gateway:
        rows = kit.settled(gateway, load.answered)
        twice = gateway.sql("select count(*) - count(distinct id) as n from exchanges")
        decisions = gateway.sql("select count(*) as n, count(distinct id) as d from calls")
        released = "select distinct exchange_id as id from calls where name = 'get_weather' and released"
        called = {row["id"] for row in kit.every(gateway, released)}
    proof = prove(gateway.data, signing_key(gateway.data).public_key(), None)
    print(
        f"{KILLS} kills: {load.asked} asked, {load.cut} without an answer, {len(load.answered)} answered, {len(load.finished)} finished, "
        f"{len(rows)} on record; journal {proof.state}: {proof.records} records, {proof.signed} signed"
    )
    assert len(load.finished) > KILLS, "the load did not get through, so nothing was tested"
    assert not load.answered - rows.keys()
    assert twice[0]["n"] == 0
    assert decisions[0]["n"] == decisions[0]["d"]
    assert not load.called - called
    assert {rows[exchange] for exchange in load.finished} <= {"complete", "denied"}
    assert "open" not in rows.values()
    assert (proof.state, proof.findings, proof.unsigned) == ("sound", [], 0)
