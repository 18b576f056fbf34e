"""One gateway and one provider for the bench's tests: they are what is slow to start."""

from pathlib import Path

import pytest

from gateway.bench.client import Prompter
from gateway.bench.run import APPROVALS, operator_of
from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

POLICY = """
policy: 1
id: till
agents: [till]
allow: [pay, look]
rules:
- {id: named, tools: [pay], require: from_user(args.to), effect: ask}
- {id: small, tools: [pay], when: args.amount > 10}
limits:
- {id: daily, tools: [pay], sum: args.amount, per: user, window: 24h, max: 7}
"""


@pytest.fixture(scope="module")
def till(tmp_path_factory):
    """(gateway, prompter, operator): an agent that may look, pay whom the user named, and ask about others."""
    folder: Path = tmp_path_factory.mktemp("till")
    (folder / "policies").mkdir()
    (folder / "policies" / "till.yaml").write_text(POLICY)
    prompter = Prompter((), {})
    with (
        RunningRehearsal(prompter) as provider,
        RunningGateway(folder, settings_for(provider.base_url, policies=str(folder / "policies"), approvals=APPROVALS)) as gateway,
        operator_of(gateway) as operator,
    ):
        yield gateway, prompter, operator
