"""One gateway and one provider for the bench's tests: they are what is slow to start."""

import contextlib
from pathlib import Path

import pytest

from gateway.bench.client import Person, Prompter
from gateway.bench.run import APPROVALS
from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.state.sqlite_approvals import SqliteApprovals

POLICY = """
policy: 1
id: till
agents: [till]
allow: [pay, look]
rules:
- {id: named, tools: [pay], require: from_user(args.to), effect: ask}
- {id: small, tools: [pay], when: args.amount > 10}
"""


@pytest.fixture(scope="module")
def till(tmp_path_factory):
    """(gateway, key, prompter, person): an agent that may look, pay whom the user named, and ask about others."""
    folder: Path = tmp_path_factory.mktemp("till")
    (folder / "policies").mkdir()
    (folder / "policies" / "till.yaml").write_text(POLICY)
    prompter = Prompter((), {})
    with (
        RunningRehearsal(prompter) as provider,
        RunningGateway(folder, settings_for(provider.base_url, policies=str(folder / "policies"), approvals=APPROVALS)) as gateway,
        contextlib.closing(SqliteApprovals(gateway.data / "state.sqlite")) as approvals,
    ):
        yield gateway, gateway.create_key("till"), prompter, Person(approvals)
