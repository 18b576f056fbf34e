"""How a running gateway stands: what its two planes say of themselves, and what of that somebody should see to.

`tollhouse status` and the page Status ask the same: `/readyz` of a worker (whichever answers) and of the book. Nothing is reckoned here
that they do not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import StartError
from gateway.examining import Finding

TIMEOUT_S = 5.0
Said = Mapping[str, Any]
"""What `/readyz` answered."""
WORRIES = {
    "no_policy_for_agent": "calls were denied because no policy names their agent",
    "policy_error": "calls were denied because a policy could not be evaluated",
    "telemetry_dropped": "spans did not reach the collector; the book has them (deploy/README.md, Telemetry)",
    "unpriced": "answers have no known cost (tollhouse sql --saved unpriced_models)",
}
"""Counters of the book that people should know of, and how they are told."""


def addresses(data: Path) -> dict[str, Any] | None:
    """Where the gateway of this data folder listens; None when none is said to run. Raises StartError where nobody may tell."""
    try:
        found = json.loads((data / "run.json").read_text())
    except PermissionError as error:
        raise StartError(f"{data} is not yours to read; run this as the gateway's user") from error
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"listen", "admin"} <= found.keys() else None


def readiness(url: str) -> dict[str, Any]:
    """What the plane there says; `ready` is false where nobody answers."""
    import httpx  # when somebody asks

    try:
        answer = httpx.get(f"{url}/readyz", timeout=TIMEOUT_S, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as e:
        return {"ready": False, "error": f"no answer from {url}: {type(e).__name__}"}
    return body if isinstance(body, dict) else {"ready": False, "error": f"no answer of a gateway from {url}"}


def troubles(worker: Said, book: Said) -> Iterator[Finding]:
    """The worst first."""
    yield from _of_planes(worker, book)
    for what in ("policy", "prompts"):
        for problem in (worker.get(what) or {}).get("problems") or ():
            do = "mend the file; what was in force before stays in force until then"
            yield Finding("policies" if what == "policy" else what, "error", str(problem), do)
    for segment, damage in (book.get("quarantined") or {}).items():
        yield Finding("journal", "error", f"{segment} is not read any further: {damage}", "see 'tollhouse verify'")
    for route in worker.get("routes") or ():
        yield from (_of_target(each) for each in route["targets"] if each["state"] != "closed" or each["rests_s"])
    for warning in book.get("warnings") or ():
        yield Finding("book", "warning", str(warning))
    for name, words in WORRIES.items():
        if number := (book.get("counters") or {}).get(name):
            yield Finding("counters", "warning", f"{number} {words}")


def _of_planes(worker: Said, book: Said) -> Iterator[Finding]:
    if "error" in worker:
        yield Finding("data plane", "error", str(worker["error"]), "look at the log of the gateway: its workers are not there")
    for what, said in (("journal", worker.get("journal") or {}), ("state", worker.get("state") or {})):
        if said and not said.get("healthy"):
            do = "requests are answered 503 until it can be used again: look at its disk or server"
            yield Finding(what, "error", str(said.get("problem")), do)
    if book.get("error") or book.get("problem"):
        do = "agents are served, and what they do stays in the journal until it can be read again"
        yield Finding("book", "error", str(book.get("error") or book.get("problem")), do)
    elif not book.get("ready") and not book.get("quarantined"):
        yield Finding("book", "warning", f"it is {book.get('lag_bytes', 0)} bytes behind the journal, and reads on", "wait a moment")


def _of_target(target: Said) -> Finding:
    pause = target["opens_in_s"] or target["rests_s"]
    until = f" for {pause:g} s" if pause else ""
    fault = f"; last {target['last_fault']} {target['last_fault_s_ago']:g} s ago" if target["last_fault"] else ""
    do = "others of its route are asked meanwhile; see that it can be reached and has quota"
    return Finding("providers", "warning", f"{target['target']} is {target['state']}{until}{fault}", do)
