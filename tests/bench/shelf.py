"""What each validator of the shelf costs on a text of 2 KB: `python -m tests.bench.shelf`.

Microseconds of this thread's CPU, medians. The text is prose with a number or two; where a validator looks at a form (JSON, SQL, code), it
has that form. `TARGET` is what one may cost, and the exit code says whether all of them keep it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gateway.validators import VALIDATORS
from gateway.validators.validator import Subject

PROSE: Final = (
    "The deployment went well; three of the four hosts answered within 20 ms, and the last one was restarted at 14:05 by Jane Doe. "
    "There is more to read at https://example.com/reports/2024-03-05, with the numbers of the week. "
)
ROWS: Final = [{"id": number, "name": f"host {number}", "ok": True, "ms": number * 1.5} for number in range(40)]
SCHEMA: Final = {
    "type": "array",
    "items": {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}, "required": ["id", "name"]},
}
QUERY: Final = "SELECT " + ", ".join(f"sum(o.amount_{i}) AS total_{i}" for i in range(55)) + " FROM orders AS o WHERE o.id IN (1, 2)"
CODE: Final = "Here it is:\n```python\n" + "def double(x):\n    return 2 * x\n" * 60 + "```\n"
COMMANDS: Final = "Here is how:\n```bash\n" + "cd app && pip install requests && npm install @acme/forms\n" * 40 + "```\n"
TARGET: Final = 10_000.0
RUNS: Final = 60


class Work(NamedTuple):
    name: str
    options: dict[str, Any]
    text: str
    target: float = TARGET


def prose(characters: int) -> str:
    """No sentence like another, or it would be a loop."""
    sentences = (f"{number}. {PROSE}\n" for number in range(characters // len(PROSE) + 1))
    return "".join(sentences)[:characters]


WORKS: Final = (
    Work("length", {"max": 9000}, prose(2048)),
    Work("empty", {}, prose(2048)),
    Work("truncated", {}, prose(2048)),
    Work("refusal", {}, prose(2048)),
    Work("regex", {"must_not_match": ["(?i)internal-[0-9]+", r"\bguarantee\w*"]}, prose(2048)),
    Work("urls", {"allow": ["example.com"]}, prose(2048)),
    Work("repetition", {}, prose(2048)),
    Work("language", {"allow": ["en"]}, prose(2048)),
    Work("grounded", {"names": True}, prose(2048)),
    Work("structured_output", {"schema": SCHEMA}, json.dumps(ROWS)[:2048].rsplit("}", 1)[0] + "}]"),
    Work("code", {}, CODE),
    Work("packages", {"allow": ["pip:requests", "npm:@acme/*"]}, COMMANDS),
    Work("sql", {"dialect": "postgres", "tables": ["orders"]}, QUERY),
)


def timed(work: Callable[[], object], runs: int) -> float:
    """Median microseconds."""
    work()
    took = []
    for _ in range(runs):
        begin = time.thread_time_ns()
        work()
        took.append(time.thread_time_ns() - begin)
    return statistics.median(took) / 1000


def measured(one: Work, runs: int = RUNS) -> float:
    validator = VALIDATORS[one.name]
    check = validator.make(validator.options.model_validate_json(json.dumps(one.options)))
    subject = Subject(one.text, results=(one.text,))
    assert list(check(subject)) == [], f"{one.name} saw something: {list(check(subject))}"
    return timed(lambda: list(check(subject)), runs)


def main() -> int:
    missed = 0
    for one in WORKS:
        took = measured(one)
        missed += took > one.target
        print(f"{one.name:18} {len(one.text):6} characters {took:10.1f} µs{'' if took <= one.target else f'   MISSES {one.target:g} µs'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
