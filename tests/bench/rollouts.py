"""Guarded rollouts through the whole house: `python -m tests.bench.rollouts [--sessions 10000] [--repetitions 200] [--json]`.

Agents solve tasks through a running gateway, with a rehearsal in the place of the provider, and say with their feedback whether it went
well. Most tasks are easy and solved with every prompt; some are middling, which a worse canary cannot do; some are hard, which nobody can.
Nobody tells the gateway which prompt is worse: it has to find that in its book. Two canaries: one that succeeds five times less in a
hundred (`--points`), and one that does as well. The first must be halted, and then no session may get it any more; the second must be
promoted, and its label move.

Then the same decisions over drawn sessions, many times: how often each canary is halted. Exit code 1 when anything is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.demo.stage import RunningGateway, settings_for
from gateway.prompt.library import Library
from gateway.prompt_folder import UNMOVED, load_folder, look
from gateway.rehearsal import RunningRehearsal
from gateway.rollout.simulating import Setting, tally
from gateway.state.embedded import STATE_FILE
from gateway.state.sqlite_prompts import SqlitePrompts

AT_ONCE = 24
BATCH = 200
SETTLED_S = 60.0
QUIET_S = 10.0
"""A session counts when it was quiet for so long: what its agent says of it comes a moment after its answer."""
PROMPT = "---\nmodel: {word}-model\nlabels: {{{labels}}}\n---\nYou solve tasks in the {word} way."
PRICES = {model: {"input": "1", "output": "4"} for model in ("old-model", "new-model")}
REQUEST = {"model": "", "prompt": {"name": "solver", "label": "production"}}


@dataclass(frozen=True)
class Ran:
    """What became of one canary."""

    truth: str
    outcome: str
    sessions: int
    canaries: int
    why: str
    label_moved: bool
    canaries_after: int
    """Sessions that got the canary when the halt was on record for a second."""
    seconds: float


def script(*, worse: bool) -> str:
    cannot, solved = {"turns": [{"text": "I cannot."}]}, {"turns": [{"text": "Solved."}]}
    scenes = [{"model": "new-model", "when": {"user_contains": "middling"}, **cannot}] if worse else []
    return json.dumps({"rehearsal": 1, "scenes": [*scenes, {"when": {"user_contains": "hard"}, **cannot}, solved]})


def tasks(count: int, seed: int, points: int) -> Iterator[tuple[str, str]]:
    """(session, task): of a hundred 20 are hard and `points` middling."""
    draw = random.Random(seed)
    for n in range(count):
        yield f"session-{seed}-{n}", draw.choices(("easy", "middling", "hard"), (80 - points, points, 20))[0]


def _served(prompts: Path, folder: Path) -> Library:
    data = folder / ".tollhouse"
    state = data / STATE_FILE
    return load_folder(prompts, data, SqlitePrompts(state) if state.exists() else UNMOVED)


def furnish(folder: Path, setting: Setting) -> Path:
    """A folder of prompts with two versions, and the experiment between them."""
    prompts = folder / "prompts"
    (prompts / "experiments").mkdir(parents=True)
    (prompts / "solver.md").write_text(PROMPT.format(word="old", labels=""))
    old = _served(prompts, folder).heads["solver"].version
    (prompts / "solver.md").write_text(PROMPT.format(word="new", labels=f"production: {old}"))
    plan = setting.plan.replace("prompt: rehearsed", "prompt: solver").replace("quiet_minutes: 0\n", f"quiet_minutes: {QUIET_S / 60}\n")
    (prompts / "experiments" / "rollout.yaml").write_text(plan)
    assert not look(prompts).problems
    return prompts


class Agents:
    """Sessions of one exchange each, and what their agents say about it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._url = gateway.url

    async def work(self, batch: Sequence[tuple[str, str]]) -> None:
        self._at_once = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(base_url=self._url, timeout=60, trust_env=False) as client:
            await asyncio.gather(*(self._session(client, *each) for each in batch))

    async def _session(self, client: httpx.AsyncClient, session: str, task: str) -> None:
        async with self._at_once:
            exchange, solved = await self._solve(client, session, task)
            await self._say(client, exchange, solved)

    async def _solve(self, client: httpx.AsyncClient, session: str, task: str) -> tuple[str, bool]:
        body = {**REQUEST, "messages": [{"role": "user", "content": f"an {task} task"}]}
        answer = await client.post("/v1/chat/completions", json=body, headers={"x-session-id": session})
        answer.raise_for_status()
        solved = answer.json()["choices"][0]["message"]["content"] == "Solved."
        return answer.headers["x-gateway-trace-id"], solved

    async def _say(self, client: httpx.AsyncClient, exchange: str, solved: bool) -> None:
        told = {"exchange": exchange, "name": "task_success", "score": float(solved)}
        deadline = time.monotonic() + SETTLED_S
        while (answer := await client.post("/v1/feedback", json=told)).status_code == 503:
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.2)
        answer.raise_for_status()


def run(setting: Setting, *, worse: bool, seed: int, points: int) -> Ran:
    """Until the canary is out, or every session was had."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, RunningRehearsal(script(worse=worse)) as provider:
        folder = Path(place)
        prompts = furnish(folder, setting)
        with RunningGateway(folder, settings_for(provider.base_url, prompts=str(prompts), prices=PRICES)) as gateway:
            agents, had = Agents(gateway), 0
            _awaited_round(gateway)
            for batch in _batches(list(tasks(setting.sessions, seed, points)), BATCH):
                asyncio.run(agents.work(batch))
                had += len(batch)
                if _decided(gateway):
                    break
            decided = _decision(gateway)
            time.sleep(1.5)
            before = _canaries(gateway)
            asyncio.run(agents.work(list(tasks(min(100, setting.sessions // 4), seed + 1_000_000, points))))
            label = _served(prompts, folder).labels("solver")["production"]
            return Ran(
                truth=f"{points} points worse" if worse else "equal",
                outcome=decided["state"],
                sessions=had,
                canaries=before,
                why=decided["why"],
                label_moved=label == _served(prompts, folder).heads["solver"].version,
                canaries_after=_canaries(gateway) - before,
                seconds=round(time.monotonic() - began, 1),
            )


def _batches(of: list[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    for at in range(0, len(of), size):
        yield of[at : at + size]


def _awaited_round(gateway: RunningGateway) -> None:
    gateway.awaited("SELECT * FROM experiment_changes WHERE state = 'running'", 2, 60)


_OUT = "SELECT state, why FROM experiment_changes WHERE state <> 'running'"


def _decided(gateway: RunningGateway) -> bool:
    return bool(gateway.sql(_OUT))


def _decision(gateway: RunningGateway) -> dict[str, Any]:
    return gateway.awaited(_OUT, 1, SETTLED_S)[0]


def _canaries(gateway: RunningGateway) -> int:
    return int(gateway.sql("SELECT count(*) AS n FROM exchanges WHERE arm = 'canary'")[0]["n"])


def as_promised(ran: Ran) -> bool:
    wanted = ("halted", False) if ran.truth != "equal" else ("promoted", True)
    return (ran.outcome, ran.label_moved) == wanted and ran.canaries_after == 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollouts", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=200, help="of drawn experiments")
    parser.add_argument("--points", type=int, default=5, help="how much less often in a hundred the worse canary succeeds")
    parser.add_argument("--matters", type=float, default=0.03, help="smallest difference in success that matters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    setting = Setting(sessions=given.sessions, matters=given.matters)
    rans = [run(setting, worse=worse, seed=given.seed, points=given.points) for worse in (True, False)]
    strict = Setting(sessions=given.sessions, matters=0.0)
    worse = given.points / 100
    drawn = {
        f"worse by {worse}": tally(setting, worse, given.repetitions, given.seed),
        "equal": tally(setting, 0.0, given.repetitions, given.seed),
        "equal, any difference matters": tally(strict, 0.0, given.repetitions, given.seed),
    }
    rows = [{"plays": name, **{each: found.share(each) for each in ("halted", "promoted", "ended")}} for name, found in drawn.items()]
    if given.json:
        print(json.dumps({"through the gateway": [asdict(ran) for ran in rans], "drawn": rows}))
    else:
        _print(rans, rows, given.repetitions)
    false_halts = max(row["halted"] for row in rows if row["plays"].startswith("equal"))
    return int(not all(map(as_promised, rans)) or false_halts > setting.risk)


def _print(rans: Sequence[Ran], rows: Sequence[dict[str, Any]], repetitions: int) -> None:
    print(f"{'canary':<16}{'outcome':<10}{'sessions':>9}{'canaries':>10}{'after':>7}{'label moved':>13}{'seconds':>9}")
    for ran in rans:
        moved = "yes" if ran.label_moved else "no"
        print(f"{ran.truth:<16}{ran.outcome:<10}{ran.sessions:>9}{ran.canaries:>10}{ran.canaries_after:>7}{moved:>13}{ran.seconds:>9}")
        print(f"  {ran.why}")
    print(f"\n{repetitions} drawn experiments each{'':<9}{'halted':>8}{'promoted':>10}{'ended':>8}")
    for row in rows:
        print(f"{row['plays']:<34}{row['halted']:>8.1%}{row['promoted']:>10.1%}{row['ended']:>8.1%}")


if __name__ == "__main__":
    sys.exit(main())
