"""Second places: lines arrive in order, each at least once, whatever fails in between; a bucket is asked for few of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from gateway.heads_log import lines_of
from gateway.heads_places import Bucket, Courier, File, Output, PlaceTrouble, fetched, place_of
from gateway.storage_settings import Heads
from tests.patience import until

PUBLIC = "ed25519:" + "ab" * 32


def lines(count: int) -> list[bytes]:
    return [b'{"line":%d}\n' % n for n in range(count)]


class Unsteady:
    """Keeps lines, but fails as told: one entry per try, the last for ever."""

    def __init__(self, *fails: bool) -> None:
        self.kept: list[tuple[int, bytes]] = []
        self._fails = itertools.chain(fails, itertools.repeat(fails[-1] if fails else False))

    def put(self, n: int, line: bytes) -> None:
        if next(self._fails):
            raise PlaceTrouble("the place is away")
        self.kept.append((n, line))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.heads_places.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("gateway.heads_places.LONGEST_PAUSE_S", 0.02)


def wait_for(courier: Courier, count: int) -> None:
    until(lambda: courier.next >= count)
    assert courier.next == count


def test_lines_arrive_in_order_although_the_place_fails_now_and_then(tmp_path: Path) -> None:
    place = Unsteady(True, False, True, True, False, False)
    courier = Courier(tmp_path, "x", place, lines(2))
    courier.offer(lines(3)[2])
    wait_for(courier, 3)
    courier.close()
    assert place.kept == list(enumerate(lines(3)))
    assert courier.problem is None


def test_what_could_not_be_delivered_is_said_and_goes_after_a_restart(tmp_path: Path) -> None:
    away = Unsteady(False, True)
    first = Courier(tmp_path, "x", away, lines(3))
    until(lambda: first.problem is not None)
    assert "the place is away; 2 signed heads wait for it" in str(first.problem)
    first.close()
    place = Unsteady()
    second = Courier(tmp_path, "x", place, lines(4))
    wait_for(second, 4)
    second.close()
    assert away.kept + place.kept == list(enumerate(lines(4)))


def test_another_place_gets_everything_from_the_first_line_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        place = Unsteady()
        courier = Courier(tmp_path, name, place, lines(3))
        wait_for(courier, 3)
        courier.close()
        assert len(place.kept) == 3


def test_a_note_of_how_far_it_came_that_cannot_be_read_sends_everything_again(tmp_path: Path) -> None:
    (tmp_path / "heads.sent").write_text("{")
    place = Unsteady()
    courier = Courier(tmp_path, "x", place, lines(2))
    wait_for(courier, 2)
    courier.close()
    assert len(place.kept) == 2


def test_a_file_is_only_added_to(tmp_path: Path) -> None:
    place = place_of(Heads(to=f"file:{tmp_path}/heads"), PUBLIC)
    assert isinstance(place, File)
    for n, line in enumerate(lines(3)):
        place.put(n, line)
    assert (tmp_path / "heads").read_bytes() == b"".join(lines(3))


def test_a_line_that_a_crash_cut_in_the_file_harms_no_other(tmp_path: Path) -> None:
    whole = [b'{"line":{"n":%d},"signature":"ab"}\n' % n for n in range(2)]
    place = File(tmp_path / "heads")
    place.put(0, whole[0])
    (tmp_path / "heads").write_bytes(whole[0] + whole[1][:12])
    place.put(1, whole[1])
    assert lines_of(tmp_path / "heads") == [line.strip() for line in whole]


def test_a_file_that_cannot_be_written_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(PlaceTrouble, match="No such file or directory"):
        File(tmp_path / "away" / "heads").put(0, b"x")


def test_standard_output_gets_whole_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    place = place_of(Heads(to="stdout"), PUBLIC)
    assert isinstance(place, Output)
    place.put(0, lines(1)[0])
    assert capfdbinary.readouterr().out == lines(1)[0]


def test_no_place_is_none() -> None:
    assert place_of(Heads(), PUBLIC) is None


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    kept = {name: os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY")}
    os.environ |= {"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "up", "NO_PROXY": "*"}
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="heads")
    yield url
    server.stop()
    for name, value in kept.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_a_bucket_keeps_one_object_per_line_under_the_keys_own_folder(s3: str) -> None:
    place = place_of(Heads(to="s3://heads/a/b/", endpoint=s3, region="us-east-1"), PUBLIC)
    assert isinstance(place, Bucket)
    for n, line in enumerate(lines(2)):
        place.put(n, line)
    assert [place.get(n) for n in range(3)] == [*lines(2), None]
    names = boto3.client("s3", endpoint_url=s3, region_name="us-east-1").list_objects_v2(Bucket="heads")["Contents"]
    assert [each["Key"] for each in names] == [f"a/b/{'ab' * 8}/{n:012d}.json" for n in range(2)]


def test_a_bucket_that_is_not_there_is_trouble_and_so_is_one_that_does_not_answer(s3: str) -> None:
    with pytest.raises(PlaceTrouble, match=r"s3://nobody/.* refuses"):
        Bucket("s3://nobody", PUBLIC, endpoint=s3, region="us-east-1").put(0, b"x")
    with pytest.raises(PlaceTrouble, match="cannot be reached"):
        Bucket("s3://heads", PUBLIC, endpoint="http://127.0.0.1:9", region="us-east-1").put(0, b"x")


class Shelf(Bucket):
    """A bucket in memory that counts questions."""

    def __init__(self, kept: list[bytes]) -> None:
        self.kept, self.asked = kept, 0

    def get(self, n: int) -> bytes | None:
        self.asked += 1
        return self.kept[n] if n < len(self.kept) else None


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 70))
def test_what_is_fetched_is_the_last_line_and_everything_from_where_they_part(local: int, remote: int, parts_at: int) -> None:
    mine = lines(local)
    theirs = [line if n < parts_at else b"other " + line for n, line in enumerate(lines(remote))]
    found = fetched(Shelf(theirs), mine)
    assert all(found[n] == theirs[n] for n in found)
    differing = [n for n in range(remote) if n >= local or mine[n] != theirs[n]]
    assert set(found) == {*differing, *([remote - 1] if remote else [])}


def test_a_long_history_is_compared_with_few_questions() -> None:
    shelf = Shelf(lines(5000))
    assert list(fetched(shelf, lines(5000))) == [4999]
    assert shelf.asked < 60
