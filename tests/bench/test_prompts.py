"""The bench of prompts runs, and the version of a prompt costs no more than a few hashes of it."""

from tests.bench import prompts


def test_a_prompt_seen_before_costs_little_and_every_request_pays_little_for_kept_ones():
    found = prompts.measured(60)
    assert found.keys() == prompts.STORIES.keys()
    assert found["prompt seen before"]["bytes"] > 20_000
    assert found["prompt seen before"]["times_one_hash"] < 6
    assert {name for name in prompts.VERSIONS if found[name]["times_one_hash"] > 10 or found[name]["calls"] > 200} == set()
    assert found["body that names no kept prompt"]["times_one_hash"] < 4


def test_what_is_measured_is_what_requests_do():
    assert b"You help in Aare." in prompts.filled(prompts.NAMED)
    assert prompts.mentioned(prompts.NAMED) is not None
    assert prompts.fingerprint(prompts.dated(1)).template == prompts.fingerprint(prompts.dated(2)).template
