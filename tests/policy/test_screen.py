"""What the rules of a hook find in texts, and the texts as they may be passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answering.screens import OutputScreen
from gateway.exchange import Caller
from gateway.policy import EMPTY, Conversation, Sight, load, screen
from gateway.request import Message, ProposedBefore
from gateway.textwindow import Window
from gateway.validators.detectors import DETECTORS, Detector

TOP = "policy: 1\nid: p\nagents: ['a*']\nallow: ['*']\nvars: {words: [alpha]}\nrules:\n"
CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"
MASK = "- {id: mask, at: output, detect: [card, iban], effect: redact}\n"


def loaded(rules, top=TOP):
    return load({"p.yaml": (top + rules).encode()})


def made(rules, hook="output", agent="a1", top=TOP, **sight):
    return screen(loaded(rules, top), hook, Sight(Caller(agent, team=sight.pop("team", None)), **sight))


def hits(one, text):
    return [(text[hit.start : hit.end], hit.detector, hit.rule, hit.effect, hit.mode, hit.error) for hit in one.find(text)]


def test_a_rule_finds_what_its_detectors_find():
    one = made(MASK)
    found = [(what, name, "mask", "redact", "enforce", False) for what, name in ((IBAN, "iban"), (CARD, "card"))]
    assert hits(one, f"{IBAN} or {CARD}") == found
    assert one.find("nothing here") == []


def test_what_is_found_is_replaced_by_its_name():
    one = made(MASK)
    text = f"pay {CARD}, or {IBAN}."
    assert one.redacted(text, one.find(text)) == "pay [card], or [iban]."
    assert one.redacted("as it is", one.find("as it is")) == "as it is"


def test_what_overlaps_is_taken_out_together():
    one = made(MASK + "- {id: mail, at: output, detect: [email], effect: redact}\n")
    text = "a@b.com@c.com and x@y.org"
    assert one.redacted(text, one.find(text)) == "[email] and [email]"


def test_the_verdict_is_that_of_the_most_restrictive_rule():
    one = made(MASK + "- {id: no, at: output, detect: [secret], message: keys stay here}\n"
               "- {id: see, at: output, detect: [email], effect: warn}\n")
    mail, key = "x@y.org", "AKIAABCDEFGHIJKLMNOP"
    came = {text: one.verdict(one.find(text)) for text in ("", mail, f"{mail} {CARD}", f"{CARD} {key}")}
    assert [(v.effect, v.released, v.rule, v.code) for v in came.values()] == [
        *(("allow", True, "", "passed"), ("warn", True, "see", "rule"), ("redact", True, "mask", "rule"), ("deny", False, "no", "rule")),
    ]
    assert came[f"{CARD} {key}"].reason == "keys stay here."
    assert "(card found)" in came[f"{mail} {CARD}"].reason
    assert [hit.rule for hit in came[f"{CARD} {key}"].hits] == ["mask", "no"]


def test_a_shadow_rule_changes_nothing_and_is_told():
    one = made("- {id: s, at: output, detect: [card], effect: redact, mode: shadow}\n- {id: w, at: output, detect: [card], effect: warn}\n")
    found = one.find(CARD)
    assert {(hit.rule, hit.mode, hit.counts) for hit in found} == {("s", "shadow", False), ("w", "enforce", True)}
    assert one.redacted(CARD, found) == CARD
    verdict = one.verdict(found)
    assert (verdict.effect, verdict.would) == ("warn", "redact")
    alone = made("- {id: s, at: output, detect: [card], mode: shadow}\n")
    assert (alone.verdict(alone.find(CARD)).effect, alone.verdict(alone.find(CARD)).code) == ("allow", "shadow")


def test_a_screen_acts_where_a_rule_in_force_could_change_a_text():
    shadow = MASK.replace("effect: redact", "effect: redact, mode: shadow")
    warning = MASK.replace("effect: redact", "effect: warn")
    assert [made(rules).acts for rules in (MASK, shadow, warning)] == [True, False, False]


def test_a_file_in_shadow_mode_has_only_shadow_rules():
    one = made(MASK, top=TOP.replace("policy: 1", "policy: 1\nmode: shadow"))
    assert {hit.mode for hit in one.find(CARD)} == {"shadow"}


@pytest.mark.parametrize(("hook", "agent"), [("request", "a1"), ("output", "b1")])
def test_rules_of_other_hooks_and_agents_do_not_speak(hook, agent):
    one = made(MASK, hook, agent)
    assert one.idle
    assert (one.find(CARD), one.look_back) == ([], 0)


def test_without_policies_nothing_is_looked_for():
    assert screen(EMPTY, "output", Sight(Caller("a1"))).idle


def test_rules_of_calls_are_not_asked_about_texts_nor_the_other_way_round():
    found = loaded(MASK + "- {id: call, detect: [card]}\n")
    for _ in range(2):
        assert [watch.guard.id for watch in found.watches("a1", "output").guards] == ["mask"]
    assert [guard.id for _, guard, _ in found.plan("a1", "pay").guards] == ["call"]


# -- conditions -------------------------------------------------------------------------------------------


def test_a_condition_beside_a_detector_must_hold_too():
    rule = "- {{id: r, at: output, detect: [card], {}: \"caller.team == 'pay'\", effect: redact}}\n"
    for sense, team, hit in (("when", "pay", 1), ("when", "x", 0), ("require", "pay", 0), ("require", "x", 1)):
        assert len(made(rule.format(sense), team=team).find(CARD)) == hit
        assert made(rule.format(sense), team=team).find("none") == []


def test_a_condition_alone_is_about_all_of_the_text():
    one = made("- {id: r, at: output, stream: buffer, when: \"text.contains('alpha')\"}\n")
    assert one.buffers
    assert hits(one, "so: alpha") == [("so: alpha", "", "r", "deny", "enforce", False)]
    assert one.find("beta") == []


FORMS = ["require: \"text.contains('yes')\"", "when: \"!text.contains('yes')\"", "when: text.size() < 20"]
SOUGHT = ["require: \"!text.contains('4111')\"", "when: \"text.contains('4111')\"", "detect: [card]"]
SEEN = "validate: [{regex: {must_not_match: ['4111.*']}}], effect: redact"


def beside_one(rule, hook):
    whole = ", stream: buffer" if hook == "output" and ("text" in rule or "regex" in rule) else ""
    return made(f"- {{id: r, at: {hook}, {rule}{whole}}}", hook, tool="get" if hook == "tool_result" else None)


@pytest.mark.parametrize("hook", ["request", "tool_result", "output"])
@pytest.mark.parametrize("rule", FORMS)
def test_no_form_is_asked_of_a_text_beside_what_is_said(rule, hook):
    one = beside_one(rule, hook)
    assert [hit.rule for hit in one.find("a title")] == ["r"]
    assert one.find("a title", beside=True) == []


@pytest.mark.parametrize(
    ("rule", "hook"),
    [*((rule, hook) for rule in SOUGHT for hook in ("request", "tool_result", "output")), (SEEN, "tool_result"), (SEEN, "output")],
)
def test_what_a_rule_looks_for_is_found_beside_what_is_said_too(rule, hook):
    one = beside_one(rule, hook)
    assert [hit.rule for hit in one.find(f"a title, {CARD}", beside=True)] == ["r"]
    assert one.find("a title", beside=True) == []


def test_a_validator_of_a_form_is_not_asked_about_a_text_beside_what_is_said():
    for rule in ("[{length: {max: 3}}]", "[{regex: {must_match: ['yes']}}]"):
        one = beside_one(f"validate: {rule}", "tool_result")
        assert [hit.rule for hit in one.find("a title")] == ["r"]
        assert one.find("a title", beside=True) == []


@pytest.mark.parametrize("hook", ["tool_result", "output"])
def test_a_validator_that_asks_for_a_form_and_looks_for_something_looks_beside_what_is_said(hook):
    one = beside_one("validate: [{regex: {must_match: ['yes'], must_not_match: ['4111.*']}}], effect: redact", hook)
    assert [hit.seen.code for hit in one.find(f"a title, {CARD}", beside=True)] == ["match"]
    assert [hit.seen.code for hit in one.find(f"a title, {CARD}")] == ["no_match", "match"]
    assert one.find("a title", beside=True) == []


def test_a_condition_over_a_result_is_not_asked_of_its_title():
    one = beside_one("when: result.secret", "tool_result")
    assert [hit.rule for hit in one.find('{"secret": true}')] == ["r"]
    assert one.find("a title", beside=True) == []


@pytest.mark.parametrize("hook", ["request", "tool_result", "output"])
def test_a_condition_that_fails_without_words_is_asked_of_every_text(hook):
    one = beside_one("when: \"text.split(' ')[1] == 'bad'\"", hook)
    assert [(hit.rule, hit.error) for hit in one.find("very bad", beside=True)] == [("r", False)]
    assert [(hit.rule, hit.error) for hit in one.find("bad", beside=True)] == [("r", True)]
    assert one.find("very good", beside=True) == []


def test_what_does_not_depend_on_the_text_is_asked_where_there_may_be_no_words_else():
    rule = "when: \"caller.agent == 'a1'\""
    assert [hit.rule for hit in beside_one(rule, "output").find("a thought", beside=True)] == ["r"]
    assert beside_one(rule, "request").find("a title", beside=True) == []


def test_a_result_is_seen_as_what_it_says():
    rules = "- {id: r, at: tool_result, tools: ['web_*'], when: \"result.?kind.orValue('') == 'bad' && call.name != 'web_ok'\"}\n"
    assert made(rules, "tool_result", tool="web_get").find('{"kind": "bad"}')
    for tool, text in (("web_ok", '{"kind": "bad"}'), ("other", '{"kind": "bad"}'), ("web_get", '{"kind": "good"}'), ("web_get", "bad")):
        assert made(rules, "tool_result", tool=tool).find(text) == []


def test_the_rules_of_every_tool_are_asked_about_a_result_whose_tool_nobody_knows():
    rules = "- {id: r, at: tool_result, tools: [one], detect: [card]}\n- {id: q, at: tool_result, tools: [two], detect: [card]}\n"
    assert [hit.rule for hit in made(rules, "tool_result").find(CARD)] == ["r", "q"]


def test_conditions_see_the_request_and_the_conversation():
    rules = "- {id: r, at: request, when: \"request.media.size() > 0 && user_said(['pay']) && session.calls == 2\"}\n"
    said = Conversation([Message("user", b"", "please pay")])
    seen = {"request": {"media": ["image"]}, "session": {"calls": 2}, "conversation": said}
    assert made(rules, "request", **seen).find("x")
    assert made(rules, "request", **{**seen, "request": {"media": []}}).find("x") == []


def test_a_condition_that_does_not_read_the_text_is_asked_once():
    one = made("- {id: r, at: output, detect: [card], when: \"size(history('*')) == 0\", effect: warn}\n")
    assert len(one.find(f"{CARD} {CARD}")) == 2
    one._sight.conversation.__dict__["_course"] = None
    assert len(one.find(CARD)) == 1


def test_a_condition_over_a_long_conversation_must_not_cost_too_much():
    said = Conversation([Message("assistant", b"", "", calls=(ProposedBefore("c", "t", "{}"),))] * 20)
    rule = "- {id: r, at: output, detect: [card], when: \"history('*').exists(a, history('*').exists(b, a.name == b.name))\"}\n"
    assert made(rule, conversation=said).find(CARD)[0].error is False
    long = Conversation([Message("user", b"", "x"), *said._messages, Message("tool", b"", "", results=(("c", "x" * 2_000_000),))])
    assert made(rule, conversation=long).find(CARD)[0].error is True


def test_a_message_is_filled_but_never_with_the_text():
    one = made("- {id: r, at: output, detect: [card], effect: warn, message: \"{caller.agent} said a number\"}\n")
    assert one.find(CARD)[0].message == "a1 said a number"


# -- errors -----------------------------------------------------------------------------------------------


def broken(text):
    raise RuntimeError("broken")


def with_broken_card(monkeypatch, rules, **sight):
    monkeypatch.setattr("gateway.policy.read.DETECTORS", {**DETECTORS, "card": Detector("card", 26, broken)})
    return made(rules, **sight)


@pytest.mark.parametrize("effect", ["redact", "warn", "deny"])
def test_a_detector_that_fails_denies_whatever_the_rule_wants(monkeypatch, effect):
    one = with_broken_card(monkeypatch, f"- {{id: r, at: output, detect: [iban, card], effect: {effect}}}\n")
    [hit] = one.find("any text")
    assert (hit.start, hit.end, hit.effect, hit.error, hit.mode) == (0, 8, "deny", True, "enforce")
    verdict = one.verdict([hit])
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")


def test_a_detector_that_fails_may_be_ignored_and_is_told(monkeypatch):
    one = with_broken_card(monkeypatch, "- {id: r, at: output, detect: [card], on_error: ignore}\n")
    [hit] = one.find("any text")
    assert (hit.effect, hit.error) == ("allow", True)
    assert one.verdict([hit]).released


def test_a_shadow_rule_that_fails_stays_in_the_shadow(monkeypatch):
    one = with_broken_card(monkeypatch, "- {id: r, at: output, detect: [card], mode: shadow}\n")
    assert (one.verdict(one.find("x")).effect, one.verdict(one.find("x")).would) == ("allow", "deny")


@pytest.mark.parametrize("sense", ["when", "require"])
@pytest.mark.parametrize("condition", ["session.absent_one == 1", "text.contains(vars.words)", "caller.team.contains(text)"])
def test_a_condition_that_fails_has_hit(sense, condition):
    condition = condition.replace("session.absent_one", "caller.labels.absent")
    rule = f"- {{id: r, at: request, detect: [card], effect: redact, {sense}: '{condition}'}}\n"
    one = made(rule, "request")
    assert [(hit.effect, hit.error) for hit in one.find(f"{CARD} x")] == [("redact", True)]
    assert one.redacted(f"{CARD} x", one.find(f"{CARD} x")) == "[card] x"
    assert one.find(f"{CARD} x") == one.find(f"{CARD} x")
    ignoring = made(rule.replace("effect: redact", "effect: deny, on_error: ignore"), "request")
    assert [(hit.effect, hit.error) for hit in ignoring.find(CARD)] == [("allow", True)]


@pytest.mark.parametrize("text", [f"{CARD} \0", f'{{"a": "\\u0000", "b": "{CARD}"}}'])
def test_a_condition_that_could_see_only_a_part_has_hit_whatever_the_file_says(text):
    rule = "- {id: r, at: tool_result, detect: [card], when: \"'x' in result || text == ''\", on_error: ignore}\n"
    one = made(rule, "tool_result")
    assert [(hit.effect, hit.error) for hit in one.find(text)] == [("deny", True)]


def test_numbers_of_the_countries_that_a_rule_names_are_taken_out_and_no_others():
    one = made("- {id: r, at: output, detect: [{national_id: {countries: [no, de]}}], effect: redact}\n")
    text = "151086 95088, 36 574 261 809 and 12345678Z"
    assert one.redacted(text, one.find(text)) == "[national_id], [national_id] and 12345678Z"


# -- streams ----------------------------------------------------------------------------------------------

ALL = (
    "- {id: all, at: output, detect: [card, iban, ssn, phone, email, secret, {urls: {allow: [example.com]}}, "
    "{national_id: {countries: [de, fr, it]}}], effect: redact}\n"
)
LINE = "MIIEabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWX\n"
KEY = "-----BEGIN PRIVATE KEY-----\n" + LINE * 8 + "abc=\n-----END PRIVATE KEY-----"
SAID = [
    *(CARD, IBAN, "123-45-6789", "+49 30 1234567", "me@example.com", "sk-" + "aB1" * 12, KEY),
    *("2 95 10 99 126 111 93", "RSS MRA 85T10 A562S", "https://evil.com/x?y=1", "words ", "\n", "4", "a@", "-"),
]


def streamed(one, deltas):
    """A stream as it leaves through the window that answers go through."""
    window, left, said = Window(OutputScreen(one)), 0, ""
    for at, delta in enumerate(deltas):
        said += delta
        window.feed(delta)
        if at == len(deltas) - 1:
            window.finish()
        yield window.said(left, said[left : window.settled])
        left = window.settled


@given(st.lists(st.sampled_from(SAID) | st.text("41 -.@a", max_size=9), max_size=9), st.data())
def test_a_stream_cut_anywhere_leaves_as_the_whole_text_would(parts, data):
    one = made(ALL)
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    deltas = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = one.redacted(text, one.find(text))
    left = ""
    for piece in streamed(one, deltas):
        left += piece
        assert whole.startswith(left)
    assert left == whole


@pytest.mark.parametrize("secret", [CARD, IBAN, "sk-" + "aB1" * 12, KEY])
def test_no_part_of_a_secret_leaves_wherever_it_is_cut(secret):
    one = made(ALL)
    for cut in range(1, len(secret)):
        out = list(streamed(one, [f"{'words ' * 60}{secret[:cut]}", secret[cut:], " and more"]))
        assert "".join(out).count("[") == 1
        assert secret[:6] not in "".join(out)


def test_a_stream_is_held_for_its_longest_detector():
    assert made(MASK).look_back == 68
    assert made("- {id: r, at: output, detect: [card]}\n").look_back < 30


def test_a_private_key_as_long_as_they_get_never_leaves_in_part():
    key = KEY.replace(LINE, LINE * 9)
    text = f"{'words ' * 99}{key} and more {'words ' * 99}"
    for size in (1, 7, 64, 1000):
        out = "".join(streamed(made(ALL), [text[at : at + size] for at in range(0, len(text), size)]))
        assert out == text.replace(key, "[secret]")
