"""Halting and promoting by hand: on record first, then for every worker, and only what has one meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from gateway.errors import JournalUnavailable
from gateway.moving_labels import Labels
from gateway.people.roles import Person
from gateway.prompt_folder import load_folder
from gateway.rollout.ruling import Rulings
from gateway.state.sqlite_prompts import SqlitePrompts
from gateway.trace.record import ExperimentChanged
from gateway.web.doors import ADMIN, Doors, Room
from gateway.web.experiments import ExperimentsDesk


async def _admin(_: Request) -> Person:
    return ADMIN


PLAN = """prompt: support
label: production
control: 1
arms: {brief: {version: this, weight: 1}, loud: {model: other, weight: 1}}
metrics: {price: {measure: cost, matters: 1}}
sessions: {min: 100, max: 400}
"""


class House:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder / "prompts", folder / "data"
        (self.folder / "experiments").mkdir(parents=True)
        self.shared = SqlitePrompts(folder / "state.sqlite")
        (self.folder / "support.md").write_text("---\n---\nOld.")
        self.old = load_folder(self.folder, self.data, self.shared).heads["support"].version
        (self.folder / "support.md").write_text(f"---\nlabels: {{production: {self.old}}}\n---\nNew.")
        self.plan(PLAN)
        self.new = load_folder(self.folder, self.data, self.shared).heads["support"].version
        self.written: list = []
        self.full = False
        self.serve(self.folder)

    def plan(self, text: str) -> None:
        (self.folder / "experiments" / "tone.yaml").write_text(text)

    def serve(self, folder: Path | None) -> None:
        labels = Labels(folder, self.data, self.shared, self._write, lambda: 7, lambda: "id")
        desk = ExperimentsDesk(labels, Rulings(self.shared, labels, self._write, lambda: 7, lambda: "id"))
        doings = {"halt": desk.halt, "promote": desk.promote}
        rooms = [Room("POST", f"/experiments/{{name}}/{what}", each, "edit-prompts") for what, each in doings.items()]
        self.client = TestClient(Starlette(routes=Doors([], [_admin]).routes(rooms)))

    async def _write(self, record) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.written.append(record)

    def post(self, what: str, name: str = "tone", **wanted):
        return self.client.post(f"/experiments/{name}/{what}", json={"by": "ann", **wanted})

    @property
    def out(self) -> dict:
        return dict(load_folder(self.folder, self.data, self.shared).trials["tone"].out)

    @property
    def label(self) -> str:
        return load_folder(self.folder, self.data, self.shared).labels("support")["production"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_one_arm_is_halted_and_then_all_others(house):
    answer = house.post("halt", arm="loud", why="too loud")
    assert [(each["arm"], each["state"], each["who"], each["why"]) for each in answer.json()["changes"]] == [
        ("loud", "halted", "ann", "too loud")
    ]
    assert house.out == {"loud": "halted"}
    assert house.post("halt").status_code == 200
    assert house.out == {"loud": "halted", "brief": "halted"}
    assert [(type(each), each.change.arm) for each in house.written] == [(ExperimentChanged, "loud"), (ExperimentChanged, "brief")]
    assert house.label == house.old


@pytest.mark.parametrize("broken", ["support.md", "experiments/tone.yaml"])
def test_an_arm_that_workers_go_on_giving_because_a_file_is_broken_can_be_halted(house, broken):
    assert house.post("halt", arm="loud").status_code == 200
    whole = (house.folder / broken).read_text()
    (house.folder / broken).write_text("---\nbroken")
    assert house.post("halt", arm="brief").status_code == 200
    (house.folder / broken).write_text(whole)
    assert house.out == {"loud": "halted", "brief": "halted"}


def test_promoting_moves_the_label_and_ends_the_arm(house):
    assert house.post("promote", arm="brief").status_code == 200
    assert house.out == {"brief": "promoted"}
    assert house.label == house.new


def test_what_cannot_be_put_on_record_is_not_done(house):
    house.full = True
    assert house.post("halt").status_code == 503
    assert house.post("promote", arm="brief").status_code == 503
    assert (house.out, house.label) == ({}, house.old)


@pytest.mark.parametrize(
    ("what", "wanted", "status", "says"),
    [
        ("halt", {"by": ""}, 400, "'by'"),
        ("halt", {"arm": "control"}, 400, "halt the other arms instead"),
        ("halt", {"arm": "quiet"}, 404, "It has: brief, loud."),
        ("halt", {"name": "tune"}, 404, "did you mean 'tone'?"),
        ("halt", {"arms": "brief"}, 400, "unknown field"),
        ("promote", {}, 400, "put them into the prompt's front matter"),
        ("promote", {"arm": "loud"}, 400, "put them into the prompt's front matter"),
    ],
)
def test_what_has_not_one_meaning_is_refused(house, what, wanted, status, says):
    answer = house.post(what, **wanted)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]
    assert (house.out, house.written) == ({}, [])


def test_what_is_over_is_not_ruled_again(house):
    house.post("halt", arm="brief")
    assert "'brief' is halted already" in house.post("halt", arm="brief").json()["error"]["message"]
    house.post("halt")
    assert "has ended already" in house.post("halt").json()["error"]["message"]


def test_of_two_arms_one_must_be_named_to_be_promoted_and_a_label_is_needed(house):
    house.plan(PLAN.replace("model: other", "label: production"))
    assert "say which arm to promote: brief, loud" in house.post("promote").json()["error"]["message"]
    house.plan(PLAN.replace("label: production\n", "").replace(", loud: {model: other, weight: 1}", ""))
    assert "name no label" in house.post("promote").json()["error"]["message"]


def test_where_no_prompts_are_served_it_says_so(house):
    house.serve(None)
    answer = house.post("halt")
    assert (answer.status_code, "tollhouse.yaml" in answer.json()["error"]["message"]) == (400, True)
