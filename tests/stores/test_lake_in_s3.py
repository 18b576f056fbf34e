"""A lake whose files are in S3 (moto's server, SeaweedFS): keys come from the environment, are renewed, and appear nowhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.retention import Cutoffs
from gateway.stores import ducklake
from gateway.stores.ducklake import Lake
from gateway.stores.lake_upkeep import Upkeep
from tests.s3_server import seaweedfs

SECRET = "made-up-secret-key-of-the-bucket"


KEYS = {"AWS_ACCESS_KEY_ID": "made-up-key", "AWS_SECRET_ACCESS_KEY": SECRET}


@contextmanager
def moto(_folder: Path) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def weed(folder: Path) -> Iterator[str]:
    with seaweedfs(folder, KEYS) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=[moto, weed], ids=lambda server: server.__name__)
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with request.param(tmp_path / "store") as endpoint:
        region = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
        for name, value in (KEYS | region | {"AWS_ENDPOINT_URL": endpoint}).items():
            monkeypatch.setenv(name, value)
        made = boto3.resource("s3").Bucket("fleet-book")
        made.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield made


def test_rows_lie_in_the_bucket_and_are_found_there_by_another_book(
    postgres: Any, bucket: Any, make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    monkeypatch.setattr(ducklake, "NEW_KEYS_EVERY_S", 0.0)
    place, segment = LakePlace(postgres.fresh(), "s3://fleet-book/ours/"), make.segment()
    lake = Lake(place, "1" * 32)
    lake.apply([make.batch(segment, [make.booted(segment), *(make.opened(number) for number in range(9))])])
    lake.apply([make.batch(segment, [make.ended(number, calls=[make.call(number, number)]) for number in range(5)], 100)])
    assert Upkeep(lake._session.con, "1" * 32, lambda: Cutoffs(None, None)).run()
    lake.tend()
    lake.close()
    names = [each.key for each in bucket.objects.all()]
    assert names
    assert all(name.startswith("ours/main/") and name.endswith(".parquet") for name in names)
    assert any(name.startswith("ours/main/exchanges_ended/year=2026/month=9/day=21/") for name in names)
    other = Lake(place, "2" * 32)
    assert other.query("SELECT state, count(*) FROM exchanges GROUP BY ALL ORDER BY 1", 9).rows == [["complete", 5], ["open", 4]]
    assert other.query("SELECT count(*) FROM calls", 9).rows == [[5]]
    other.close()
    assert SECRET not in caplog.text


def test_without_keys_the_start_is_refused_and_says_which(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(StartError, match="AWS_ACCESS_KEY_ID"):
        Lake(LakePlace(postgres.fresh(), "s3://fleet-book/ours/"), "1" * 32)
