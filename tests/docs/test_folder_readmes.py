"""Programs in folder READMEs run, and links between documents lead somewhere."""

import re
from pathlib import Path

import pytest

from gateway.policy import load, run_cases

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for folder in ("gateway", "policies", "traces", "deploy", "tests") for path in (ROOT / folder).rglob("*.md")
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("http") or (document.parent / target).exists(), target


def test_the_rehearsals_example_runs():
    text = (ROOT / "gateway" / "rehearsal" / "README.md").read_text()
    [example] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert "assert" in example
    exec(compile(example, "README.md", "exec"), {})


def test_the_policies_of_the_language_reference_pass_their_tests():
    text = (ROOT / "policies" / "README.md").read_text()
    blocks = [block for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if block.startswith("policy: 1")]
    assert len(blocks) >= 2
    for block in blocks:
        report = run_cases(load({"policy.yaml": block.encode()}))
        assert report.results
        assert [result.said for result in report.results if not result.passed] == []
