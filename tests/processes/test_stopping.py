"""Stopping, being killed and being started again: the gateway as its own processes."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from tests.patience import PATIENCE_S, until
from tests.processes.starting import ask, lives


def run_file(gateway) -> dict:
    return json.loads((gateway.data / "run.json").read_text())


def stopped(pid: int, number: int) -> None:
    os.kill(pid, number)
    until(lambda: not lives(pid), what=f"{pid} ends")


def pending(pid: int) -> bool:
    """Whether a signal waits for the process."""
    return int(re.search(r"ShdPnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[1], 16) != 0


def test_a_stop_lets_open_streams_finish(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as gateway:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(gateway, "slow", stream=True)))
        thread.start()
        until(provider.requests)
        stopped(run_file(gateway)["pid"], signal.SIGTERM)
        thread.join(PATIENCE_S)
    assert b"[DONE]" in answers[0].content
    with RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as gateway:
        assert gateway.sql("select state from exchanges") == [{"state": "complete"}]


def test_a_stop_that_takes_too_long_ends_streams_with_an_error_and_a_record(folder, provider):
    settings = settings_for(provider.base_url, policies="policies", timeouts={"drain": 0.5})
    with RunningGateway(folder, settings) as gateway:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(gateway, "slow", stream=True)))
        thread.start()
        until(provider.requests)
        time.sleep(0.5)
        stopped(run_file(gateway)["pid"], signal.SIGTERM)
        thread.join(PATIENCE_S)
    assert b"[DONE]" not in answers[0].content
    assert b"stopped" in answers[0].content
    with RunningGateway(folder, settings) as gateway:
        assert gateway.sql("select state from exchanges") == [{"state": "interrupted"}]


@pytest.mark.parametrize("when", ["a moment later", "while it stops"])
def test_a_second_stop_waits_for_nobody_and_loses_no_record(folder, provider, when):
    provider.play("rehearsal: 1\nscenes: [{turns: [{text: word after word, chunk: 1, gap_ms: 60000}]}]\n")
    settings = settings_for(provider.base_url, policies="policies", timeouts={"drain": 600})
    with RunningGateway(folder, settings) as gateway:
        left = []

        def read() -> None:
            try:
                left.append(ask(gateway, "slow", stream=True).content)
            except httpx.HTTPError as error:
                left.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        until(provider.requests)
        begun = time.monotonic()
        os.kill(run_file(gateway)["pid"], signal.SIGTERM)
        if when == "while it stops":
            until(lambda: "stopping" in gateway.log.read_text())
        until(lambda: not pending(run_file(gateway)["pid"]))  # of two that come before the first was seen, the system tells one
        stopped(run_file(gateway)["pid"], signal.SIGTERM)
        thread.join(PATIENCE_S)
        assert time.monotonic() - begun < 30  # of the 600 s that it would wait
        assert len(left) == 1
    with RunningGateway(folder, settings) as gateway:
        assert [row["state"] for row in gateway.sql("select state from exchanges")] == ["interrupted"]


def test_when_the_supervisor_is_killed_nothing_is_left_running(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        begun = gateway.processes()
        assert {kind: len(pids) for kind, pids in begun.items()} == {"worker": 1, "book": 1, "nursery": 1}
        stopped(gateway.pid, signal.SIGKILL)
        until(lambda: not any(lives(pid) for pids in begun.values() for pid in pids), seconds=20)


def test_a_worker_and_a_nursery_that_are_killed_are_there_again_and_the_gateway_stops_in_order(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as gateway:
        begun = gateway.processes()
        os.kill(begun["nursery"][0], signal.SIGKILL)
        until(lambda: not gateway.processes()["nursery"])
        assert ask(gateway).status_code == 200
        os.kill(begun["worker"][0], signal.SIGKILL)
        until(lambda: gateway.processes()["worker"] and gateway.ready())
        assert ask(gateway).status_code == 200
    assert "did not stop in time" not in gateway.log.read_text()
    assert not [pid for pids in begun.values() for pid in pids if lives(pid)]
