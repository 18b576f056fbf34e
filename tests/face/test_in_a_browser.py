"""A walk over all pages in headless Chromium: forms, keys and live rows work, nothing is reported to the console, nothing is refused by the
pages' own content policy. Skipped where there is no Chromium (Debian: `apt-get install chromium-headless-shell`)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlencode

from tests.patience import until

WORD = "a boat upon the river"


def shoot(tab, name):
    """Pictures for whoever wants to look: TOLLHOUSE_PICTURES names a folder."""
    if folder := os.environ.get("TOLLHOUSE_PICTURES"):
        for kind, settings in {"light": {}, "dark": {"dark": True}, "phone": {"width": 390}}.items():
            tab.picture(Path(folder) / f"{name}-{kind}.png", **settings)


def test_a_walk_over_all_pages_is_clean(served, tab, caplog) -> None:
    house, at = served
    deny = {"effect": "deny", "name": "Bash", "arguments": '{"command": "rm -rf /"}', "reason": "nothing is removed"}
    tab.go(f"{at}/ui/begin?token={house.invitation}")
    shoot(tab, "begin")
    tab.submit("main form", name="ada", password=WORD, again=WORD)
    assert tab.run("document.title") == "Overview · Tollhouse"
    assert "No traffic yet" in tab.run("document.body.innerText")
    shoot(tab, "nothing-yet")
    said = [{"role": "user", "content": "Clean <b>up</b> & pay"}]
    for n in range(30):
        calls = [deny] if n % 5 == 0 else [{}]
        house.exchange(n, ago_s=60 + n * 1800, calls=calls, state="denied" if n % 5 == 0 else "complete", messages=said,
                       answered={"role": "assistant", "content": "Done", "calls": []})  # fmt: skip
    house.ask_a_person(1)
    for path in ("overview", "traces", "sessions", "agents", "violations", "cost", "approvals", "status", "people", "account"):
        tab.go(f"{at}/ui/{path}")
        assert path.capitalize() in tab.run("document.title")
        assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), path
        shoot(tab, path)
    question = "SELECT agent, count(*) AS exchanges FROM exchanges GROUP BY agent"
    charted = urlencode({"sql": question, "chart": "bar", "x": "agent", "y": "exchanges"})
    for path, words in {
        "policies": "tollhouse init", "prompts": "No prompt", "prompts/compare": "Two versions", "prompts/drift": "drifted",
        "experiments": "No experiment runs", f"sql?{charted}": "exchanges by agent", "sql?saved=cost_by_agent_and_day": "Cost by agent",
    }.items():  # fmt: skip
        tab.go(f"{at}/ui/{path}")
        assert words in tab.run("document.body.innerText"), path
        assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), path
        shoot(tab, path.partition("?")[0].replace("/", "-"))
    tab.go(f"{at}/ui/policies")
    tab.submit("section form", text="policy: 1\nid: none\nagents: ['*']\nallow: [Bash]\n", hours="24")
    assert "would be decided otherwise" in tab.run("document.body.innerText")
    shoot(tab, "what-if")
    for path, title in (("sessions/s1", "Session s1"), ("agents/coder", "Agent coder")):
        tab.go(f"{at}/ui/{path}")
        assert tab.run("document.title") == f"{title} · Tollhouse"
        assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), path
        tab.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        shoot(tab, path.replace("/", "-"))
    tab.run("document.querySelector('#switch [name=sure]').checked = true")
    tab.submit("#switch", why="it loops")
    assert "Paused by ada" in tab.run("document.body.innerText")
    tab.go(f"{at}/ui/traces?q=decision:deny&show=text")
    assert tab.run("document.querySelectorAll('tr[data-row]').length") == 6
    for key, chosen in (("j", 0), ("j", 1), ("k", 0)):
        tab.press(key)
        assert tab.run("[...document.querySelectorAll('tr[data-row]')].findIndex(row => row.classList.contains('chosen'))") == chosen
    tab.press("Escape")
    assert tab.run("document.querySelectorAll('.chosen').length") == 0
    tab.press("/")
    assert tab.run("document.activeElement.id") == "q"
    tab.run("document.querySelector('tr[data-row] a').click()")
    tab.settle()
    assert tab.until("document.body.innerText.includes('nothing is removed')")
    assert "Clean <b>up</b> & pay" in tab.run("document.body.innerText")
    tab.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    shoot(tab, "exchange")
    assert caplog.records == []
    assert tab.complaints == []


def test_somebody_signs_in_by_an_issuer_and_is_led_to_the_page_that_they_wanted(build, issuer, serving, tab) -> None:
    house = build({"issuers": [issuer.settings()]})
    house.clock[0] = time.time_ns() // 1000
    with serving(house.app) as at:
        tab.go(f"{at}/ui/people")
        shoot(tab, "login-by-issuer")
        tab.run("document.querySelector('a.button').click()")
        tab.settle()
        assert tab.run("document.title") == "Issuer"
        tab.submit("form", user="ada")
        assert tab.until("document.title.startsWith('People')"), tab.run("document.body.innerText")
        assert "corp" in tab.run("document.body.innerText")
        assert tab.run("document.cookie") == ""
        tab.run("[...document.querySelectorAll('button')].find(each => each.innerText === 'Sign out').click()")
        assert tab.until("document.title.startsWith('Sign in')")
        assert tab.complaints == []


def test_live_rows_come_while_the_page_is_open(entered, tab) -> None:
    house, at = entered
    house.exchange(100, ago_s=50, agent="before")
    tab.go(f"{at}/ui/traces")
    tab.run("document.getElementById('live').click()")
    until(lambda: len(house.book.listeners))
    house.exchange(101, ago_s=40, agent="<img src=x>")
    assert tab.until("document.querySelector('tr.fresh td:nth-child(2)')?.textContent === '<img src=x>'")
    assert tab.run("document.querySelectorAll('main img').length") == 0
    assert tab.complaints == []


def test_an_approval_is_decided_by_keys_and_the_queue_tells_when_it_has_changed(entered, tab) -> None:
    house, at = entered
    tab.go(f"{at}/ui/approvals")
    house.ask_a_person(77, tool="wire_money")
    assert tab.until("!document.getElementById('changed').hidden")
    tab.go(f"{at}/ui/approvals")
    tab.run("[...document.querySelectorAll('article')].find(each => each.innerText.includes('wire_money')).classList.add('chosen')")
    tab.press("d")
    assert tab.run("document.activeElement.value") == "deny"
    tab.run("document.activeElement.click()")
    assert tab.until("![...document.querySelectorAll('article')].some(each => each.innerText.includes('wire_money'))")
    assert house.approvals.find("apr_77").state == "denied"
    assert tab.complaints == []


def test_what_a_page_may_not_do_is_refused_by_the_browser_and_reported(served, tab, caplog) -> None:
    """The walk above is clean because nothing happens, not because nobody looks."""
    _, at = served
    tab.go(f"{at}/ui/login")
    tab.run("document.body.append(Object.assign(document.createElement('img'), {src: 'data:image/gif;base64,x'}))")
    refused = tab.send("Runtime.evaluate", expression="document.body.innerHTML = '<b>x</b>'")
    assert "TrustedHTML" in str(refused["exceptionDetails"])
    until(lambda: caplog.records)
    assert "img-src" in caplog.text or "require-trusted-types-for" in caplog.text


def test_a_live_tail_of_a_hundred_rows_a_second_keeps_its_tab_small(entered, tab) -> None:
    """TOLLHOUSE_TAIL_S=120 tails for two minutes. The table holds 500 rows however many came."""
    house, at = entered
    seconds = int(os.environ.get("TOLLHOUSE_TAIL_S", "6"))
    house.exchange(999, ago_s=5)
    tab.go(f"{at}/ui/traces")
    tab.run("document.getElementById('live').click()")
    assert tab.until("document.getElementById('live').getAttribute('aria-pressed') === 'true'")
    until(lambda: len(house.book.listeners))
    began = time.monotonic()
    for second in range(seconds):
        house.book.apply(*(house.ended(1000 + second * 100 + n, ago_s=1, agent=f"busy-{n}") for n in range(100)))
        tab.run("1")
        time.sleep(max(0.0, began + second - time.monotonic()))
    assert tab.until("document.querySelectorAll('tr.fresh').length >= 500")
    assert tab.run("document.querySelectorAll('tr[data-row]').length") == 500
    megabytes = tab.private_megabytes()
    print(f"the tab holds {megabytes:.0f} MB after {seconds * 100} rows")
    assert megabytes < 150
    assert tab.complaints == []
