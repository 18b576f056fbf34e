"""Webhooks: told once, signed, tried again, and one receiver keeps no other waiting."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

import httpx
import pytest
from pydantic import ValidationError

from gateway.errors import GatewayError, StartError
from gateway.key_source import KeySource
from gateway.state.approvals import Approval, Bindings, Ruling
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.webhook_settings import Webhook
from gateway.webhooks import MOST_TRIES, NEWS_US, Hook, Webhooks, payload, read_hooks, tell
from tests.patience import until_meanwhile

AT = 1_790_000_000_000_000
HOUR = 3600 * 1_000_000
ASKED = Approval(
    "apr_1", AT, AT + HOUR, Bindings("o", "s", "a"), "coder", "ses", "pay", '{"to":"<@all>"}', "bank", "big", "much", "dec_1", "x1",
    user="eve",
)  # fmt: skip
JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["pending", "approved", "expired"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["pending", "denied"])


class Receiver:
    """Answers for all URLs; `answers` are given in order, the last one again and again."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers, self.got = list(answers) or [200], list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"location": "https://elsewhere.example"} if answer == 302 else {})


class Scene:
    def __init__(self, path, *hooks: Webhook) -> None:
        self.store, self.now = SqliteApprovals(path), AT
        self.receivers = {"a.example": Receiver(), "b.example": Receiver()}
        self._hooks = [Hook(str(each.url), b"secret" if each.secret else b"", each) for each in hooks]
        self.store.ask(ASKED, 9)

    def rounds(self, count: int = 1, step_s: float = 1) -> None:
        async def go() -> None:
            transport = httpx.MockTransport(lambda request: self.receivers[request.url.host](request))
            async with httpx.AsyncClient(transport=transport) as client:
                sender = Webhooks(self.store, self._hooks, client, lambda: self.now)
                for _ in range(count):
                    await sender.round()
                    self.now += int(step_s * 1e6)

        asyncio.run(go())

    def got(self, host: str) -> list[httpx.Request]:
        return self.receivers[host].got


@pytest.fixture
def scene(tmp_path):
    scenes = []

    def of(*hooks: Webhook) -> Scene:
        scenes.append(Scene(tmp_path / "state.sqlite", *(hooks or (JSON, SLACK))))
        return scenes[-1]

    yield of
    for each in scenes:
        each.store.close()


def test_each_receiver_is_told_once_of_what_it_wants(scene):
    one = scene()
    one.rounds(3)
    assert [len(one.got(host)) for host in ("a.example", "b.example")] == [1, 1]
    one.store.rule("apr_1", Ruling(True, "ann", one.now, AT + HOUR))
    one.rounds(3)
    assert [len(one.got(host)) for host in ("a.example", "b.example")] == [2, 1]
    assert [json.loads(each.content)["event"] for each in one.got("a.example")] == ["approval.pending", "approval.approved"]
    assert [each.headers["x-tollhouse-delivery"] for each in one.got("a.example")] == ["apr_1:1", "apr_1:2"]
    assert one.store.untold(9) == []


def test_what_is_sent_is_signed_with_its_time(scene):
    one = scene(JSON)
    one.rounds()
    [request] = one.got("a.example")
    at = request.headers["x-tollhouse-timestamp"]
    assert at == str(AT // 1_000_000)
    digest = hmac.new(b"secret", at.encode() + b"." + request.content, hashlib.sha256).hexdigest()
    assert request.headers["x-tollhouse-signature"] == f"v1={digest}"


@pytest.mark.parametrize("trouble", [500, 503, 429, httpx.ConnectError("no"), httpx.ReadTimeout("slow")])
def test_a_receiver_in_trouble_is_tried_again_and_keeps_no_other_waiting(scene, trouble):
    one = scene()
    one.receivers["a.example"] = Receiver(trouble, trouble, 204)
    one.rounds()
    assert len(one.got("b.example")) == 1
    one.rounds(10)
    assert len(one.got("a.example")) == 3
    assert len(one.got("b.example")) == 2  # the sender was begun anew, as after a restart: told again, never lost
    assert one.store.untold(9) == []


def test_pauses_grow_and_end(scene):
    one = scene(JSON)
    one.receivers["a.example"] = Receiver(500)
    one.rounds(40)
    assert len(one.got("a.example")) == 6  # after 0, 1, 3, 7, 15 and 31 s
    one.rounds(1000)
    assert len(one.got("a.example")) == 6 + MOST_TRIES
    assert one.store.untold(9) == []


@pytest.mark.parametrize("answer", [400, 401, 404, 302])
def test_a_receiver_that_refuses_is_not_asked_again_and_redirects_are_not_followed(scene, answer):
    one = scene(JSON)
    one.receivers["a.example"] = Receiver(answer)
    one.rounds(5)
    assert len(one.got("a.example")) == 1
    assert one.store.untold(9) == []


def test_what_is_old_is_told_to_nobody(scene):
    one = scene(JSON)
    one.now = AT + NEWS_US + 1
    one.rounds()
    assert one.got("a.example") == []
    one.store.expire(one.now)
    one.rounds()
    assert [json.loads(each.content)["event"] for each in one.got("a.example")] == ["approval.expired"]


def test_a_url_that_cannot_be_used_is_given_up(scene):
    one = scene(JSON.model_copy(update={"url": "https://a.example:99999/"}))
    one.rounds(2)
    assert one.store.untold(9) == []


def test_trouble_of_any_kind_does_not_end_the_telling(scene, monkeypatch, caplog):
    one = scene(JSON)
    monkeypatch.setattr("gateway.webhooks.LOOK_EVERY_S", 0.01)
    troubles = [GatewayError("unavailable", "state_unavailable", "busy"), RuntimeError("odd")]
    seen = one.store.untold

    class Troubled:
        told = one.store.told

        def untold(self, limit: int):
            if troubles:
                raise troubles.pop(0)
            return seen(limit)

    async def go() -> None:
        open_ones = []  # from Python 3.13 on, a writer that nobody holds closes its connection

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_ones.append(writer)
            writer.write(b"HTTP/1.1 204 x\r\n\r\n")

        receiver = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
        telling = asyncio.create_task(tell(Troubled(), [Hook(url, b"", SLACK)], lambda: AT))
        await until_meanwhile(lambda: not one.store.untold(9))
        telling.cancel()
        receiver.close()
        await tell(one.store, [], lambda: AT)

    asyncio.run(go())
    assert "busy" in caplog.text
    assert "odd" in caplog.text


def test_arguments_are_left_out_where_the_settings_say_so():
    for form in (JSON, SLACK):
        assert "@all" in json.dumps(payload(ASKED, form))
        assert "@all" not in json.dumps(payload(ASKED, form.model_copy(update={"arguments": False})))


def test_slack_gets_plain_text_that_says_what_to_do():
    [block] = payload(ASKED, SLACK)["blocks"]
    assert block["text"]["type"] == "plain_text"
    assert block["text"]["text"].startswith("pay, asked by coder (for eve): pending\nmuch\n")
    assert "tollhouse approvals approve apr_1" in block["text"]["text"]


def test_slack_is_told_who_decided(tmp_path):
    store = SqliteApprovals(tmp_path / "state.sqlite")
    store.ask(ASKED, 9)
    denied = store.rule("apr_1", Ruling(False, "ann", AT, AT + HOUR, "no"))
    assert payload(denied, SLACK)["blocks"][0]["text"]["text"].endswith("by ann no")
    store.close()


def test_secrets_are_read_where_the_settings_say_or_nothing_starts():
    hook = Webhook(url=KeySource(env="U"), secret=KeySource(env="S"))
    [read] = read_hooks([hook], {"U": "https://a.example/x", "S": "word"})
    assert (read.url, read.secret) == ("https://a.example/x", b"word")
    for environment, told in [
        ({"U": "https://a"}, r"webhooks\[0\].secret .* in S"),
        ({"U": "ftp://a", "S": "w"}, "https://"),
        ({"S": "w"}, "in U"),
    ]:
        with pytest.raises(StartError, match=told):
            read_hooks([hook], environment)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://a.example"}, {"url": "http://a.example", "format": "slack"}, {"url": "x", "format": "slack"},
        {"url": "https://a.example", "format": "slack", "events": []}, {"url": "https://a.example", "format": "teams"},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValidationError):
        Webhook.model_validate(wrong)
    Webhook.model_validate({"url": "http://127.0.0.1:9/x", "format": "slack"})
