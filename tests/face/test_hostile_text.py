"""What models, tools, callers and strangers write stays text: a page that is full of it has the elements and attributes of one that is not,
no address in it leads anywhere else, and nothing that steers a reader is passed on."""

from __future__ import annotations

import functools
import json
from urllib.parse import quote

import html5lib
import pytest

from gateway.face.rendering import TRACE_COLUMNS
from gateway.installation import open_people, open_sign_ins
from gateway.state.sign_ins import SignIn
from gateway.trace.people_rows import FeedbackRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import FeedbackGiven, PolicyLoaded
from gateway.verdict import Finding, RuleHit
from gateway.web.admin import Status

HARMLESS = "plain words"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover=\"alert(1)\" x=\"",
    "single quotes": "' autofocus onfocus='alert(1)",
    "image": "<img src=x onerror=alert(1)>",
    "end of a text area": "</textarea></pre></title><svg onload=alert(1)>",
    "comment": "--><script>alert(1)</script><!--",
    "address": "javascript:alert(1)",
    "template": "{{ 7*7 }}{% include 'x' %}${7*7}#{7*7}",
    "entities": "&lt;script&gt;&#60;b&#62;&amp;quot;",
    "direction": "\u202egnp.exe\u2066\u200b\ufeff",
    "control": "\x1b[2J\x07\x00\x9b31m",
    "half a pair": "\ud83d<b>",
    "markdown": "[x](javascript:alert(1)) ![y](http://evil.example/p.png)",
    "styles": "</style><style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "base": "<base href=//evil.example><meta http-equiv=refresh content='0;url=//evil.example'><form action=//evil.example>",
    "handlers": "<svg/onload=alert(1)> <body onpageshow=alert(1)> <details open ontoggle=alert(1)> "
    "<video><source onerror=alert(1)></video> <input autofocus onfocus=alert(1)> <marquee onstart=alert(1)> "
    "<a onpointerenter=alert(1)>x</a> <audio src onloadstart=alert(1)> "
    "<b/onclick=alert(1)//",
    "elements": "<iframe srcdoc='<b>x</b>'></iframe> <object data=//evil.example></object> <embed src=//evil.example> "
    "<svg><script href=//evil.example></script></svg> <svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg> "
    "<math><mtext><table><mglyph><style><img src=x></style></mglyph></table></mtext></math> <template><b>x</b></template> "
    "<portal src=//evil.example> <frameset onload=alert(1)>",
    "ways out": "</script><b>x</b> ]]><b>x</b> */</style><b>x</b> \"><b>x</b> '><b>x</b> `><b>x</b> </option></select><b>x</b> "
    "</td></tr></table><b>x</b> </noscript></template></svg></math><b>x</b> --!><b>x</b>",
    "addresses": "data:text/html,<b>x</b> vbscript:x \x01javascript:alert(1) java\tscript:alert(1) JaVaScRiPt:alert(1) //evil.example/x "
    "\\\\evil.example\\x https:evil.example blob:x",
    "encodings": "+ADw-script+AD4-alert(1)+ADw-/script+AD4- \\u003cb\\u003e \\x3cb\\x3e %3Cb%3E &#x3c;b&#x3e; \uff1cb\uff1e \xbcb\xbe "
    "=HYPERLINK(\"//evil.example\") __proto__ constructor <%= 7*7 %> {%raw%} [[${7*7}]]",
}
"""Some sixty ways to become more than text; several stand in one text where none hides another."""
CHOSEN = (
    "system", "agent", "team", "user", "session", "client", "request_model", "response_model", "response_id", "error_code", "error_message",
    "route", "provider", "dialect", "policy_git", "key_id", "input_preview", "output_preview", "upstream_dialect", "storing",
)  # fmt: skip
COLUMNS = "&".join(f"c_{name}=1" for name in TRACE_COLUMNS)
STEERING = set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ufeff\ud83d")


def fill(house, n, text):
    """An exchange in which every field that somebody else chooses says this; its id."""
    safe = kept(sent(text))
    args = json.dumps({safe: safe, "b": [{safe: safe}]})
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": safe, "function": {"name": safe, "arguments": safe}}]}
    said = [
        {"role": "user", "content": safe},
        {"role": safe, "content": safe},
        {"role": "tool", "tool_call_id": safe, "content": safe},
        calling,
    ]
    hit = RuleHit(safe, safe, "deny", message=safe, line=3)
    named = ("name", "reason", "call_id", "code", "policy", "rule", "decided_by", "approval", "agent", "session")
    call = {"effect": "deny", "arguments": args, "hits": (hit,), **dict.fromkeys(named, safe)}
    heard = {"hook": "input", "path": safe, "policy": safe, "rule": safe, "effect": "redact", "mode": "enforce", "detector": safe}
    finding = Finding(safe, safe, "warn", safe, safe, policy=safe, rule=safe)
    answered = {"role": "assistant", "content": safe, "calls": []}
    made = house.exchange(
        n, calls=[call], messages=said, answered=answered, state="denied", unevaluated=(safe,), not_priced=(safe,), findings=(finding,),
        template_hash=f"t{n}", heard=[heard], **dict.fromkeys(CHOSEN, safe),
    )  # fmt: skip
    house.book.apply(PolicyLoaded(PolicyRow(f"v{n}", house.clock[0] - 10**9, safe, ((f"{safe}.yaml", f"# {safe}"),))))
    feedback = FeedbackRow(f"fb{n}", house.clock[0], safe, "caller", safe, safe, exchange_id=made, label=safe, comment=safe)
    house.book.apply(FeedbackGiven(feedback))
    return made


async def with_a_browser_of(house, browser, text):
    """The account page while somebody is signed in with a browser that calls itself so."""
    sign_ins, people = open_sign_ins(house.settings), open_people(house.settings)
    now = house.clock[0]
    sign_ins.begin(SignIn("theirs", "ada", now, now, now + 10**9, text, text, people.named("ada").seal))
    shown = (await browser.get("/ui/account")).text
    sign_ins.end("theirs")
    sign_ins.close()
    people.close()
    return shown


def ill(house, worker, text):
    """Everything that the planes of a gateway say of themselves says this."""
    house.book.now = Status(ready=False, lag_bytes=1, records=1, ledger=text, problem=text, quarantined={text: text}, warnings=(text,))
    target = {"target": text, "state": text, "opens_in_s": 0, "rests_s": 0, "attempts": 1, "failures": 1, "last_fault": text,
              "last_fault_s_ago": 1, "first_byte_ms": 1}  # fmt: skip
    stale = {"hash": text, "git": text, "stale": True, "problems": [text], "count": 1}
    wrong = {"healthy": False, "problem": text, "durability": text}
    worker.says |= {"version": text, "policy": stale, "prompts": stale, "journal": wrong, "state": wrong,
                    "routes": [{"models": [text], "targets": [target]}]}  # fmt: skip


def compared(safe, n):
    """The template that this text is the agent of, beside itself."""
    version = quote(f"found:{kept(safe)}:t{n}")
    return f"before={version}&after={version}"


def question(safe):
    """A question whose text, column, answer and parameter it is, with a chart of it."""
    plain = kept(safe)
    quoted, named = plain.replace("'", "''"), plain.replace('"', '""')
    sql = f"SELECT '{quoted}' || $p AS \"{named}\", 1 AS n -- {plain}"
    return f"sql={quote(sql)}&p.p={quote(safe)}&chart=bar&x={quote(plain)}&y=n"


def kept(text):
    """As the ledger takes it."""
    return text.replace("\x00", "")


def sent(text):
    """As it can stand in a request at all."""
    return text.encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def pages(lived_in, worker_lived_in):
    """By what is in it: (the page of its exchange, the traces that it alone is in, all approvals with it waiting, the way in with it)."""
    house, found = lived_in, {}
    texts = {"harmless": HARMLESS, **HOSTILE}
    ids = {name: fill(house, n, text) for n, (name, text) in enumerate(texts.items())}

    async def go(browser):
        await browser.begin()
        for n, (name, text) in enumerate(texts.items()):
            safe = sent(text)
            asked = dict.fromkeys(("agent", "tool", "policy", "rule", "message", "user", "session", "exchange"), safe)
            house.ask_a_person(n, arguments=json.dumps({safe: safe}), **asked)
            address = quote(kept(safe), safe="")
            waiting = await browser.get("/ui/approvals")
            fields = {"what": "deny", "reason": "no" if n else "yes"}
            await browser.post(f"/ui/approvals/apr_{n}", fields, "/ui/account")
            ill(house, worker_lived_in, safe)
            found[name] = {
                "status": (await browser.get("/ui/status")).text,
                "account": await with_a_browser_of(house, browser, safe),
                "exchange": (await browser.get(f"/ui/exchange/{ids[name]}?against=now")).text,
                "traces": (await browser.get(f"/ui/traces?show=text&q=id:{ids[name]}&{COLUMNS}")).text,
                "sessions": (await browser.get(f"/ui/sessions?q=id:{ids[name]}")).text,
                "session": (await browser.get(f"/ui/sessions/-?name={address}")).text,
                "agent": (await browser.get(f"/ui/agents/-?name={address}")).text,
                "violations": (await browser.get(f"/ui/violations?q=id:{ids[name]}")).text,
                "cost": (await browser.get(f"/ui/cost?by=route&q=id:{ids[name]}")).text,
                "filter": (await browser.get(f"/ui/sessions?q={quote(safe)}&before=")).text,
                "approvals": waiting.text,
                "pasted": (await browser.post(f"/ui/exchange/{ids[name]}", {"text": safe}, "/ui/account")).text,
                "what-if": (await browser.post("/ui/policies", {"text": safe, "place": "alone"}, "/ui/account")).text,
                "policy": (await browser.get(f"/ui/policies/file?file={quote(kept(safe))}.yaml&version=v{n}")).text,
                "compared": (await browser.get(f"/ui/prompts/compare?{compared(safe, n)}")).text,
                "sql": (await browser.get(f"/ui/sql?{question(safe)}")).text,
                "wrong sql": (await browser.get(f"/ui/sql?sql={quote(safe)}&limit=1")).text,
                "nowhere": (await browser.get(f"/ui/exchange/{quote(safe, safe='')}")).text,
                "unknown": (await browser.get(f"/ui/overview?hours={quote(safe)}")).text,
            }
        overview = (await browser.get("/ui/overview")).text
        await browser.post("/ui/logout", {}, "/ui/account")
        for name, text in texts.items():
            safe = quote(sent(text))
            found[name]["login"] = (await browser.get(f"/ui/login?next={safe}")).text
            found[name]["begin"] = (await browser.get(f"/ui/begin?token={safe}")).text
        return overview

    return house.browse(go), found


parsed = functools.cache(functools.partial(html5lib.parse, namespaceHTMLElements=False))


@functools.cache
def shape(text, below=None):
    """Every element (of the one with an id, where one is named) with the names of its attributes, in order, and every address."""
    tree = parsed(text)
    if below is not None:
        tree = next(each for each in tree.iter() if each.get("id") == below)
    found = [each for each in tree.iter() if isinstance(each.tag, str)]
    addresses = [value for each in found for name, value in each.attrib.items() if name in ADDRESSES]
    return [(each.tag, sorted(each.attrib)) for each in found], addresses


ADDRESSES = {"href", "src", "action", "formaction", "content"}
KINDS = {
    "exchange": None, "traces": None, "sessions": None, "session": None, "agent": None, "violations": None, "cost": None,
    "approvals": "queue", "status": None, "account": None, "login": None, "begin": None,
    "policy": "source", "compared": "compared", "sql": "answer",
}  # fmt: skip
"""With the part of the page that is of this text alone."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_full_of_hostile_text_has_the_shape_of_a_harmless_one(pages, name, kind) -> None:
    _, found = pages
    elements, addresses = shape(found[name][kind], KINDS[kind])
    assert elements == shape(found["harmless"][kind], KINDS[kind])[0]
    assert all(address.startswith(("/ui", "?", "#", "width=", "light dark")) for address in addresses), addresses


@pytest.mark.parametrize("kind", [*KINDS, "filter", "unknown", "pasted", "what-if", "wrong sql"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_page_has_an_element_or_an_address_of_somebodys_own(pages, name, kind) -> None:
    elements, addresses = shape(pages[1][name][kind])
    assert {tag for tag, _ in elements}.isdisjoint({"img", "iframe", "object", "embed", "base", "style", "audio", "video", "b"})
    assert sum(tag == "script" for tag, _ in elements) == 1
    assert not [names for _, names in elements if any(each.startswith("on") or each == "style" for each in names)]
    assert not [address for address in addresses if address.lower().lstrip().startswith(("javascript:", "data:", "//"))]


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_steers_a_reader_is_passed_on(pages, name) -> None:
    for kind, text in pages[1][name].items():
        assert not STEERING & set(text), kind


def test_the_overview_lists_hostile_denials_as_text(pages) -> None:
    elements, _ = shape(pages[0])
    assert {tag for tag, _ in elements}.isdisjoint({"img", "iframe", "base", "style"})
    assert sum(tag == "script" for tag, _ in elements) == 1
    assert "onmouseover" not in {each for _, names in elements for each in names}
    assert "&lt;script&gt;alert(1)" in pages[0]


def test_what_is_hostile_stays_readable(pages) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[1]["script"]["exchange"]
    assert "\\u202egnp.exe" in pages[1]["direction"]["exchange"]
    assert "{{ 7*7 }}" in pages[1]["template"]["exchange"]
