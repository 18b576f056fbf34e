"""What deploy/README.md shows of routes leads where it says."""

import re
from pathlib import Path

from gateway.config import Settings
from gateway.documents import load as load_document
from gateway.route_settings import BreakerSettings, Retries
from gateway.upstream.routing import Routes, Way

ROOT = Path(__file__).parents[2]


def _settings_with_upstreams(document):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    examples = [block for block in blocks if "upstreams:" in block and "targets:" in block]
    return [load_document(b"tollhouse: 1\n" + block.encode(), document, Settings) for block in examples]


def test_the_routes_of_the_operators_guide_load_and_lead_to_their_targets():
    several, providers, clouds = _settings_with_upstreams("deploy/README.md")
    keys = dict.fromkeys(("openai", "azure", "anthropic", "bedrock", "routes[0].targets[1]"), "k")
    way = Routes(several, keys).find("openai.chat", "smart")
    assert isinstance(way, Way)
    assert [(target.name, target.model, target.region) for target in way.managed.targets] == [
        ("openai", "gpt-5.1", "us"), ("azure", "our-gpt-5", "eu"), ("anthropic", "claude-sonnet-4-5", ""),
    ]  # fmt: skip
    (route,) = several.routes
    assert (route.retries, route.breaker) == (Retries(), BreakerSettings())  # what is shown is what holds when nothing is said
    table = Routes(providers, keys)
    led = {model: table.find("openai.chat", model) for model in ("llama-3", "gpt-5", "oss-1")}
    found = {model: [(target.name, target.model) for target in way.managed.targets] for model, way in led.items()}
    assert found == {
        "llama-3": [("vllm", None), ("ollama", "llama3.3")],
        "gpt-5": [("azure", "our-deployment")],
        "oss-1": [("bedrock", "openai.gpt-oss-120b")],
    }
    claude = Routes(clouds, {"bedrock": "AKIAZ7:secret"}).find("anthropic.messages", "claude-sonnet-4-5")
    assert isinstance(claude, Way)
    assert [(target.name, target.platform is not None) for target in claude.managed.targets] == [("bedrock", True), ("vertex", False)]
    for dialect in ("openai.chat", "anthropic.messages"):
        nova = Routes(clouds, {"converse": "AKIAZ7:secret"}).find(dialect, "nova-pro")
        assert isinstance(nova, Way)
        assert [(target.name, target.model, target.dialects) for target in nova.targets] == [
            ("converse", "us.amazon.nova-pro-v1:0", ("aws.converse",))
        ]
