"""Every page of the navigation, one exchange, one session and one agent, for people who do not see them or use no mouse: what axe-core
finds (WCAG 2.1 A and AA), the keyboard alone, a page at twice its size. Without axe-core (`pip install --no-deps axe-playwright-python`)
the first is skipped."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

_FOUND = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"]}).then(found => JSON.stringify(
  found.violations.filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => [each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + " | " + node.failureSummary)])))
"""
_BEGIN = """
window.left = new Set([...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
  .filter(each => each.checkVisibility() && !each.disabled && each.type !== "radio")); left.size
"""
_AT = """
(() => { const at = document.activeElement, style = getComputedStyle(at); left.delete(at);
  return at === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none" ? "" : at.outerHTML.slice(0, 160) })()
"""
_LEFT = "JSON.stringify([...left].map(each => each.outerHTML.slice(0, 160)))"


@pytest.fixture(scope="module")
def furnished(served):
    """Two days of traffic of every kind."""
    house, _ = served
    deny = {"effect": "deny", "name": "Bash", "arguments": '{"command": "rm -rf /"}', "reason": "nothing is removed"}
    for n in range(30):
        house.exchange(n, ago_s=60 + n * 5000, calls=[deny] if n % 5 == 0 else [{}], state="denied" if n % 5 == 0 else "complete",
                       answered={"role": "assistant", "content": "Done", "calls": []})  # fmt: skip
    house.ask_a_person(1)


@pytest.fixture
def pages(furnished, entered, tab):
    """Addresses of the pages; the tab is signed in."""
    house, at = entered
    listed = json.loads(tab.run("JSON.stringify([...document.querySelectorAll('header a, nav a')].map(each => each.pathname))"))
    exchange = house.book.fetch("SELECT id FROM exchanges WHERE state = 'denied' LIMIT 1", {})[0]["id"]
    others = (f"/ui/exchange/{exchange}", "/ui/sessions/s1", "/ui/agents/coder")
    found = [*sorted({path for path in listed if path.startswith("/ui/")}), *others]
    assert len(found) > 5
    return [f"{at}{path}" for path in found]


def axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("there is no axe-core here: pip install --no-deps axe-playwright-python")
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def test_axe_finds_nothing_serious_on_any_page_light_or_dark(pages, tab):
    script = axe()
    tab.send("Page.setBypassCSP", enabled=True)
    found = {}
    for page in pages:
        for theme in ("light", "dark"):
            tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            tab.go(page)
            tab.run("document.querySelectorAll('details').forEach(each => each.open = true)")
            tab.run(script)
            told = tab.send("Runtime.evaluate", expression=_FOUND, returnByValue=True, awaitPromise=True)
            if serious := json.loads(told["result"]["value"]):
                found[f"{page} {theme}"] = serious
    assert found == {}


def test_every_page_is_read_at_twice_its_size_without_moving_it_sideways(pages, tab):
    """Two hundred per cent of 1,280 pixels."""
    tab.send("Emulation.setDeviceMetricsOverride", width=640, height=450, deviceScaleFactor=2, mobile=False)
    wide = []
    for page in pages:
        tab.go(page)
        if not tab.run("document.documentElement.scrollWidth <= window.innerWidth"):
            wide.append(page)
    assert wide == []


def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(pages, tab):
    """Of the choices of one question, one is reached; arrows lead to the others."""
    unreached, unseen = {}, {}
    for page in pages:
        tab.go(page)
        unseen[page] = set()
        for _ in range(tab.run(_BEGIN) + 10):
            tab.press("Tab")
            unseen[page] |= {tab.run(_AT)} - {""}
        unreached[page] = json.loads(tab.run(_LEFT))
    assert {page: what for page, what in unseen.items() if what} == {}
    assert {page: what for page, what in unreached.items() if what} == {}
