"""`validate:` of rules: who is asked, about what, and what comes of it, at each hook."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import Section
from gateway.errors import FileProblems
from gateway.exchange import Caller
from gateway.policy import Facts, Sight, decide, load, run_cases, screen
from gateway.policy.cases import text_judged
from gateway.policy.running import afterwards, worst
from gateway.policy.screen import Screen
from gateway.validators import VALIDATORS
from gateway.validators.use import Said
from gateway.validators.validator import Seen, Subject, Unjudged, Validator
from gateway.verdict import Call, Ran

TOP = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"


def finds(subject):
    return [Seen("bad", "it holds a bad word", "at.here", m.start(), m.end(), score=0.25) for m in re.finditer("BAD", subject.text)]


def measures(subject):
    return [Seen("close", "close enough", severity="info", score=0.75)]


def fails(subject):
    raise RuntimeError("BAD")


def cannot_tell(subject):
    raise Unjudged("nobody knows")


def everything(subject):
    return [Seen("all", "")]


def one(name, check, **more):
    return Validator(name, "7", Section, lambda options: check, **more)


def no_options(options):
    raise ValueError("never pleased")


SHELF = (
    one("placed", finds, pieces=True, look_back=12, spans=True),
    one("late", finds, spans=True),
    one("measures", measures),
    one("fails", fails, spans=True, pieces=True),
    one("unsure", cannot_tell),
    one("everything", everything),
    one("unplaced", everything, spans=True, pieces=True, look_back=4),
    one("answers", everything, hooks=frozenset({"output"})),
    Validator("picky", "1", Section, no_options),
)


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    for each in SHELF:
        monkeypatch.setitem(VALIDATORS, each.name, each)


def made(rules, hook="output", **sight):
    return screen(load({"p.yaml": (TOP + rules).encode()}), hook, Sight(Caller("a"), **sight))


def judged(rules, args, tool="get", **more):
    policies = load({"p.yaml": (TOP + rules).encode()})
    call = Call("c", tool, msgspec.json.encode(args).decode(), args, 0)
    return decide(policies, Facts(call=call, caller=Caller("a"), dialect="d", model="m", **more)).verdict


def rows(found):
    return [(row.validator, row.version, row.rule, row.outcome, row.looks, row.seen, row.score) for row in found]


def told(verdict):
    return [(each.validator, each.code, each.path, each.severity, each.action, each.score) for each in verdict.findings]


# -- answers ----------------------------------------------------------------------------------------------


def test_a_validator_of_pieces_looks_at_every_text_and_one_of_answers_when_they_have_ended():
    screened = made("- {id: r, at: output, stream: buffer, validate: [placed, late]}\n")
    (early,) = screened.find("so BAD")
    (late,) = screened.answered(Subject("a BAD one"))
    assert [(hit.start, hit.end, hit.detector, hit.effect, hit.whole) for hit in (early, late)] == [
        (3, 6, "placed", "deny", False), (2, 5, "late", "deny", False),
    ]  # fmt: skip
    assert rows(screened.ran) == [("placed", "7", "r", "hit", 1, 1, 0.25), ("late", "7", "r", "hit", 1, 1, 0.25)]
    assert (screened.look_back, screened.decides_at_end, screened.looks_at_end, screened.buffers) == (12, True, True, True)
    assert [screened.is_late(row) for row in screened.ran] == [False, True]


def test_an_answer_that_is_looked_at_only_at_its_end_need_not_wait_in_pieces():
    screened = made("- {id: r, at: output, stream: buffer, validate: [late]}\n")
    assert (screened.buffers, screened.decides_at_end, screened.acts, screened.find("BAD")) == (False, True, True, [])
    warning = made("- {id: r, at: output, effect: warn, validate: [late]}\n")
    assert (warning.decides_at_end, warning.looks_at_end, warning.acts) == (False, True, False)
    shadow = made("- {id: r, at: output, stream: buffer, mode: shadow, validate: [late]}\n")
    assert (shadow.decides_at_end, shadow.acts) == (False, False)


def test_what_is_placed_can_be_taken_out():
    screened = made("- {id: r, at: output, effect: redact, stream: buffer, validate: [placed, late]}\n")
    text = "BAD and good"
    assert screened.redacted(text, screened.find(text)) == "[placed] and good"
    assert screened.answered(Subject(text)) == []


def test_what_has_no_place_cannot_be_taken_out_and_denies():
    screened = made("- {id: r, at: output, effect: redact, validate: [unplaced]}\n")
    assert [(hit.effect, hit.whole) for hit in screened.find("text")] == [("deny", True)]


def test_a_repair_looks_at_whole_answers_and_keeps_its_rounds():
    screened = made("- {id: r, at: output, effect: repair, rounds: 3, validate: [placed]}\n")
    assert screened.find("BAD") == []
    (hit,) = screened.answered(Subject("BAD"))
    assert (hit.effect, hit.rounds) == ("repair", 3)
    verdict = screened.verdict([hit])
    assert (verdict.effect, verdict.released, verdict.rule) == ("repair", False, "r")
    assert "placed: it holds a bad word" in verdict.reason


@pytest.mark.parametrize(("effect", "comes"), [("deny", "deny"), ("warn", "warn"), ("redact", "deny"), ("repair", "deny")])
@pytest.mark.parametrize("validator", ["fails", "unsure"])
def test_a_validator_that_cannot_judge_has_hit_with_an_effect_that_needs_no_more(validator, effect, comes):
    if effect == "redact" and validator == "unsure":
        validator = "fails"
    buffer = "" if effect in ("warn", "repair") else "stream: buffer, "
    screened = made(f"- {{id: r, at: output, {buffer}effect: {effect}, validate: [{validator}]}}\n")
    (hit,) = [*screened.find("x"), *screened.answered(Subject("x"))]
    assert (hit.effect, hit.error, hit.whole, hit.seen) == (comes, True, True, None)
    assert screened.ran[0].outcome == "unevaluated"
    finding = hit.finding("answer", "denied")
    assert (finding.code, finding.rule, finding.version) == ("unevaluated", "r", "7")


def test_errors_that_a_file_ignores_pass_the_text_and_not_the_validator():
    screened = made("- {id: r, at: output, stream: buffer, on_error: ignore, validate: [unsure]}\n")
    (hit,) = screened.answered(Subject("x"))
    assert (hit.effect, screened.verdict([hit]).effect, screened.ran[0].outcome) == ("allow", "allow", "unevaluated")


def test_a_condition_is_asked_first():
    rules = "- {{id: r, at: output, stream: buffer, {}, validate: [everything]}}\n"
    cases = {"when: \"text == 'x'\"": "hit", "require: \"text == 'x'\"": None, "when: \"int(text) == 1\"": "unevaluated"}
    for condition, outcome in cases.items():
        screened = made(rules.format(condition))
        assert len(screened.answered(Subject("x"))) == (outcome is not None)
        assert [row.outcome for row in screened.ran] == ([outcome] if outcome else [])


def test_a_condition_that_sees_a_part_only_is_not_ignored():
    screened = made("- {id: r, at: output, stream: buffer, on_error: ignore, when: \"text == 'x'\", validate: [everything]}\n")
    (hit,) = screened.answered(Subject("x\0y"))
    assert (hit.effect, screened.ran[0].outcome) == ("deny", "unevaluated")


def test_a_rule_that_is_not_drawn_asks_nobody():
    rules = "- {id: r, at: output, effect: warn, sample: 30%, validate: [everything]}\n"
    outcomes = set()
    for exchange in map(str, range(40)):
        screened = made(rules, exchange=exchange)
        hits = screened.answered(Subject("x"))
        (row,) = screened.ran
        assert (row.outcome, row.looks, len(hits)) in (("hit", 1, 1), ("not_drawn", 0, 0))
        outcomes.add(row.outcome)
    assert outcomes == {"hit", "not_drawn"}


def test_what_is_only_told_is_no_hit_and_keeps_its_score():
    screened = made("- {id: r, at: output, stream: buffer, validate: [measures]}\n")
    assert screened.answered(Subject("x")) == []
    assert rows(screened.ran) == [("measures", "7", "r", "passed", 1, 0, 0.75)]


def test_an_answer_that_nobody_could_read_has_passed_nobody():
    screened = made("- {id: r, at: output, stream: buffer, validate: [late, placed]}\n")
    (hit,) = screened.unheard("it broke off")
    assert (hit.detector, hit.effect, hit.error) == ("late", "deny", True)
    assert [row.outcome for row in screened.ran] == ["unevaluated"]
    assert not screened.heard
    screened.find("")
    assert screened.heard


def test_a_rule_may_detect_and_validate():
    screened = made("- {id: r, at: output, effect: redact, detect: [card], validate: [placed]}\n")
    text = "4111 1111 1111 1111 BAD"
    assert screened.redacted(text, screened.find(text)) == "[card] [placed]"
    assert sorted(row.validator for row in screened.ran) == ["card", "placed"]
    card, placed = screened.find(text)
    assert (card.finding("answer", "none"), placed.finding("answer", "none").code) == (None, "bad")
    assert [row.outcome for row in screened.ran] == ["hit", "hit"]


def test_detectors_of_answers_are_on_record_as_well():
    screened = made("- {id: r, at: output, detect: [card, iban]}\n")
    screened.find("nothing")
    assert [(row.validator, row.outcome) for row in screened.ran] == [("card", "passed"), ("iban", "passed")]
    screened.find("4111 1111 1111 1111")
    assert [(row.validator, row.outcome, row.looks) for row in screened.ran] == [("card", "hit", 2), ("iban", "passed", 2)]


def test_a_message_of_the_rule_goes_before_what_was_seen():
    screened = made("- {id: r, at: output, stream: buffer, message: shorter please, validate: [everything]}\n")
    assert screened.verdict(screened.answered(Subject("x"))).reason == "shorter please."
    silent = made("- {id: r, at: output, stream: buffer, validate: [everything]}\n")
    assert "(everything found)" in silent.verdict(silent.answered(Subject("x"))).reason


def test_conditions_of_answers_see_the_prompt_version():
    screened = made("- {id: r, at: output, stream: buffer, when: \"prompt.hash == 'abc'\", validate: [everything]}\n", prompt="abc")
    assert len(screened.answered(Subject("x"))) == 1


def test_results_of_tools_are_looked_at_by_every_validator():
    screened = made("- {id: r, at: tool_result, effect: redact, validate: [placed, late]}\n", "tool_result", tool="get")
    text = "BAD here"
    hits = screened.find(text)
    assert screened.redacted(text, hits) == "[placed] here"
    assert rows(screened.ran) == [("placed", "7", "r", "hit", 1, 1, 0.25), ("late", "7", "r", "hit", 1, 1, 0.25)]
    finding = hits[0].finding("messages[2]", "redacted", "abcd")
    assert (finding.path, finding.span_hash, finding.action) == ("messages[2].at.here", "abcd", "redacted")


# -- calls ------------------------------------------------------------------------------------------------


def test_a_call_is_looked_at_by_its_argument_or_all():
    rules = "- {id: r, tools: [get], validate: [{late: {argument: q}}, measures]}\n"
    denied, passed = judged(rules, {"q": "so BAD", "x": "fine"}), judged(rules, {"q": "fine", "x": "BAD"})
    assert (denied.effect, denied.rule, denied.reason) == ("deny", "r", "late: it holds a bad word.")
    assert told(denied) == [
        ("late", "bad", "calls[0].at.here", "error", "denied", 0.25), ("measures", "close", "calls[0]", "info", "none", 0.75),
    ]  # fmt: skip
    assert (passed.effect, rows(passed.ran)[0][3]) == ("allow", "passed")
    assert judged("- {id: r, validate: [late]}\n", {"x": "BAD"}).effect == "deny"


@pytest.mark.parametrize(
    ("more", "effect"), [("", "deny"), ("effect: warn", "warn"), ("effect: ask", "ask"), ("on_error: ignore", "allow")]
)
def test_a_call_that_cannot_be_judged_has_hit(more, effect):
    rule = f"{more}, " if more else ""
    for validator in ("unsure", "fails", "{late: {argument: q}}"):
        verdict = judged(f"- {{id: r, {rule}validate: [{validator}]}}\n", {"x": 1})
        assert (verdict.effect, [row.outcome for row in verdict.ran]) == (effect, ["unevaluated"])
        assert [each.code for each in verdict.findings] == ["unevaluated"]


def test_a_condition_of_a_call_is_asked_first():
    rules = "- {{id: r, when: args.n > 1, {}validate: [everything]}}\n"
    assert [judged(rules.format(""), {"n": n}).effect for n in (2, 1)] == ["deny", "allow"]
    unknown, ignored = judged(rules.format(""), {}), judged(rules.format("on_error: ignore, "), {})
    assert ((unknown.effect, unknown.ran[0].outcome), (ignored.effect, ignored.ran[0].outcome)) == (
        ("deny", "unevaluated"), ("allow", "unevaluated"),
    )  # fmt: skip
    assert judged(rules.format("on_error: ignore, "), {"n": "\0"}).effect == "deny"


def test_a_call_may_be_detected_and_validated():
    rules = "- {id: r, detect: [card], validate: [late]}\n"
    assert [judged(rules, {"q": text}).effect for text in ("4111 1111 1111 1111", "BAD", "fine")] == ["deny", "deny", "allow"]
    both = judged(rules, {"q": "BAD 4111 1111 1111 1111"})
    assert ([hit.rule for hit in both.hits].count("r"), [row.validator for row in both.ran]) == (1, ["late"])


def test_calls_are_drawn_too():
    rules = "- {id: r, effect: warn, sample: 50%, validate: [everything]}\n"
    came = {judged(rules, {}, exchange=str(n)).ran[0].outcome for n in range(40)}
    assert came == {"hit", "not_drawn"}


def test_a_shadow_rule_about_calls_is_told_and_denies_nothing():
    verdict = judged("- {id: r, mode: shadow, validate: [everything]}\n", {})
    assert (verdict.effect, verdict.would, [each.action for each in verdict.findings]) == ("allow", "deny", ["none"])


def test_a_call_without_validators_has_none_on_record():
    assert (judged("- {id: r, when: args.n > 1}\n", {"n": 1}).ran, judged("- {id: r, when: args.n > 1}\n", {"n": 1}).findings) == ((), ())


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{id: r, at: tool_result, validate: [answers]}", "'answers' does not look at 'tool_result'; it looks at output"),
        ("{id: r, at: output, effect: warn, validate: [picky]}", "'picky': never pleased"),
    ],
)
def test_what_a_validator_cannot_do_is_refused(rule, said):
    with pytest.raises(Exception, match=re.escape(said)):
        load({"p.yaml": (TOP + f"- {rule}\n").encode()})


def test_the_tests_of_a_file_run_its_validators_and_draw_every_rule():
    text = TOP + """\
- {id: call, tools: [get], validate: [{late: {argument: q}}]}
- {id: result, at: tool_result, effect: redact, validate: [placed]}
- {id: answer, at: output, effect: repair, validate: [late]}
- {id: some, at: output, effect: warn, sample: 0.0001%, validate: [everything]}
tests:
- {name: a call, call: {get: {q: BAD}}, expect: {effect: deny, rule: call}}
- {name: a result, result: {get: BAD day}, expect: {effect: redact, rule: result, text: "[placed] day"}}
- {name: an answer, output: a BAD one, expect: {effect: repair, rule: answer}}
- {name: a good answer, output: fine, expect: {effect: warn, rule: some}}
"""
    policies = load({"p.yaml": text.encode()})
    report = run_cases(policies)
    assert ([result.said for result in report.results], report.not_hit) == ([""] * 4, ())
    (policy,) = policies.policies
    assert text_judged(policies, policy.layers[0].tests[2], policy).left == "a BAD one"


def test_a_test_says_how_an_answer_ended(monkeypatch):
    def ended(subject):
        wrong = subject.finish == "length" or subject.calls or subject.answer_schema == {"type": "object"}
        return [Seen("ended", "not well")] if wrong else []

    monkeypatch.setitem(VALIDATORS, "ended", one("ended", ended))
    cases = "".join(
        f"- {{name: c{n}, output: x, {ending}expect: {{effect: {effect}}}}}\n"
        for n, (ending, effect) in enumerate([
            ("", "allow"), ("ending: {finish: length}, ", "deny"), ("ending: {calls: 1}, ", "deny"),
            ("ending: {asked_schema: {type: object}}, ", "deny"), ("ending: {asked_schema: {}}, ", "allow"),
        ])
    )  # fmt: skip
    text = TOP + "- {id: r, at: output, stream: buffer, validate: [ended]}\ntests:\n" + cases
    assert [result.said for result in run_cases(load({"p.yaml": text.encode()})).results] == [""] * 5
    with pytest.raises(FileProblems, match="'ending' is about answers"):
        load({"p.yaml": (TOP + "tests:\n- {name: c, call: {get: {}}, ending: {calls: 1}, expect: {effect: deny}}\n").encode()})


# -- the record -------------------------------------------------------------------------------------------

OUTCOMES = ("not_drawn", "passed", "hit", "unevaluated")


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.booleans(), st.none() | st.floats(0, 1)), min_size=1, max_size=6))
def test_of_several_looks_the_worst_counts(looks):
    joined = worst([Ran("v", "1", outcome=outcome, before=before, score=score) for outcome, before, score in looks])
    (row,) = joined
    assert row.outcome == max((outcome for outcome, *_ in looks), key=OUTCOMES.index)
    assert row.before is all(before for _, before, _ in looks)
    assert row.score == min((score for *_, score in looks if score is not None), default=None)
    assert row.looks == len(looks)


def test_rows_of_different_rules_and_hooks_stay_apart():
    found = [Ran("v", "1", rule="a"), Ran("v", "1", rule="b"), Ran("v", "1", hook="tool_call", rule="a"), Ran("w", "1", rule="a")]
    assert list(worst(found)) == found


ASKS = "validate: [{judge: {rubric: Is it kind?, model: m}}]"


def judging(rule, exchange="x", text="an answer"):
    policies = load({"p.yaml": (TOP + f"- {{id: r, at: output, effect: warn, {rule}, {ASKS}}}\n").encode()})
    rules = Screen("output", policies.afterwards("a"), Sight(Caller("a"), exchange=exchange))
    return policies, list(rules.concerned(text))


def test_a_rule_that_asks_a_model_says_nothing_before_the_answer_has_left():
    policies, found = judging("mode: enforce")
    assert screen(policies, "output", Sight(Caller("a"))).idle
    assert [(watch.guard.id, drawn, problem) for watch, drawn, problem in found] == [("r", True, "")]
    assert policies.afterwards("a") is policies.afterwards("a")


def test_its_condition_chooses_answers_and_one_that_cannot_be_evaluated_chooses_none():
    assert [drawn for _, drawn, _ in judging("when: \"text.contains('kind')\"", text="be kind")[1]] == [True]
    assert judging("when: \"text.contains('kind')\"", text="be quick")[1] == []
    (_, drawn, problem), = judging("when: \"int(text) > 1\"", text="no number")[1]
    assert drawn
    assert problem


@given(st.uuids().map(str))
def test_what_is_not_drawn_is_told_apart(exchange):
    _, found = judging("sample: 50%", exchange)
    assert [drawn for _, drawn, _ in found] == [drawn for _, drawn, _ in judging("sample: 50%", exchange)[1]]
    watch, drawn, problem = found[0]
    row = afterwards(watch, watch.guard.afterwards, Said(), drawn=drawn)
    assert (row.outcome, row.looks, row.before, problem) == ("passed" if drawn else "not_drawn", int(drawn), False, "")


@pytest.mark.parametrize(
    ("said", "outcome", "seen", "score"),
    [
        (Said(problem="nobody knows"), "unevaluated", 0, None),
        (Said((Seen("below", "", severity="warn", score=0.25),)), "hit", 1, 0.25),
        (Said((Seen("score", "", severity="info", score=0.75),)), "passed", 0, 0.75),
    ],
)
def test_what_came_of_asking_is_a_row_of_its_own(said, outcome, seen, score):
    ((watch, _, _),) = judging("mode: enforce")[1]
    row = afterwards(watch, watch.guard.afterwards, said, "judge-1")
    assert (row.validator, row.rule, row.effect, row.before, row.asked) == ("judge", "r", "warn", False, "judge-1")
    assert (row.outcome, row.seen, row.score, row.version) == (outcome, seen, score, watch.guard.afterwards.version)
    assert worst([row, row])[0].asked == "judge-1"


def test_no_test_of_a_file_can_make_it_hit_so_none_is_missed():
    policies, _ = judging("mode: enforce")
    report = run_cases(policies)
    assert (report.rules, report.not_hit) == (0, ())
