"""Moving a label: on record first, and only where it has one meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.errors import JournalUnavailable
from gateway.moving_labels import Labels
from gateway.people.roles import Person
from gateway.prompt_folder import load_folder
from gateway.state.sqlite_prompts import SqlitePrompts
from gateway.web.doors import ADMIN, Doors, Endpoint, Room
from gateway.web.prompts import PromptsDesk


async def _admin(_: Request) -> Person:
    return ADMIN


def behind_doors(*rooms: tuple[str, str, Endpoint]) -> list[Route]:
    """For whoever holds the admin token."""
    return Doors([], [_admin]).routes(Room(method, path, endpoint, "erase") for method, path, endpoint in rooms)



class House:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder / "prompts", folder / "data"
        self.folder.mkdir()
        self.shared = SqlitePrompts(folder / "state.sqlite")
        self.written: list = []
        self.full = False
        self.versions = [self.put(word) for word in ("One", "Two")]
        desk = PromptsDesk(Labels(self.folder, self.data, self.shared, self._write, lambda: 7, lambda: "id"))
        self.client = TestClient(Starlette(routes=behind_doors(("POST", "/prompts/{name}/labels", desk.move))))

    def put(self, word: str) -> str:
        (self.folder / "support.md").write_text(f"---\n---\n{word}.")
        return load_folder(self.folder, self.data, self.shared).heads["support"].version

    async def _write(self, record) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.written.append(record.moved)

    def move(self, **wanted):
        return self.client.post("/prompts/support/labels", json={"by": "ann", "label": "production", **wanted})

    @property
    def label(self) -> str | None:
        move = self.shared.moves().get("support", {}).get("production")
        return move.version if move else None


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_move_is_on_record_and_then_done(house):
    one, two = house.versions
    assert house.move(version=one[:8], why="the good one").json()["version"] == one
    assert house.move().json() == {
        "id": "id", "at_us": 7, "name": "support", "label": "production", "version": two, "before": one, "who": "ann", "why": "",
    }  # fmt: skip
    assert house.move(back=True).json()["version"] == one
    assert [(row.version, row.before) for row in house.written] == [(one, None), (two, one), (one, two)]
    assert house.label == one


def test_what_cannot_be_put_on_record_is_not_done(house):
    house.full = True
    assert house.move().status_code == 503
    assert house.label is None


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"by": ""}, "'by'"),
        ({"label": "this"}, "is no name for a label"),
        ({"version": "00000000"}, "no version"),
        ({"version": "00000000", "back": True}, "not both"),
        ({"back": True}, "no way back"),
        ({"label": "production", "to": "x"}, "unknown field"),
    ],
)
def test_a_move_without_one_meaning_is_refused(house, wanted, says):
    answer = house.move(**wanted)
    assert answer.status_code == 400
    assert says in answer.text
    assert (house.written, house.label) == ([], None)


def test_a_label_that_was_nowhere_before_it_was_moved_has_no_way_back_and_says_so(house):
    house.move()
    answer = house.move(back=True)
    assert (answer.status_code, "pointed at nothing before" in answer.text) == (400, True)


def test_a_label_that_is_there_already_does_not_move(house):
    house.move()
    assert "already" in house.move().text
    assert len(house.written) == 1


def test_a_broken_file_is_mended_first_but_another_ones_defect_is_in_nobodys_way(house):
    (house.folder / "other.md").write_text("broken")
    assert house.move(version=house.versions[0]).status_code == 200
    (house.folder / "support.md").write_text("broken")
    assert "mend it first" in house.move(back=True).text


def test_without_a_folder_it_says_how_to_name_one(tmp_path):
    desk = PromptsDesk(Labels(None, tmp_path, None, None, lambda: 7, lambda: "id"))
    client = TestClient(Starlette(routes=behind_doors(("POST", "/prompts/{name}/labels", desk.move))))
    answer = client.post("/prompts/support/labels", json={"by": "ann", "label": "production"})
    assert (answer.status_code, "tollhouse.yaml" in answer.text) == (400, True)
