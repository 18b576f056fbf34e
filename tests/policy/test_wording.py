"""What is said to people and agents: one safe line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import denial_text
from gateway.policy.explain import withheld_text
from gateway.policy.wording import LINE_LENGTH, VALUE_LENGTH, clean_name, filled, one_line, unknown_placeholders
from gateway.verdict import Call, Verdict

SEEN = {
    "args": {"to": "GB29", "n": 5, "x": 1.5, "ok": True, "no": None, "l": [1], "m": {"k": "v"}},
    "vars": {"limit": 9},
}


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("pay {args.to} {args.n} {args.x}", "pay GB29 5 1.5"),
        ("{args.ok} {args.no} {args.l} {args.m} {args.m.k}", "true null (list) (object) v"),
        ("{args.absent} {args.to.more} {nothing}", "(missing) (missing) (missing)"),
        ("over\nlines\t and  spaces", "over lines and spaces"),
        ("limit {vars.limit}", "limit 9"),
        ("no braces } here {", "no braces } here {"),
    ],
)
def test_messages_are_filled(message, line):
    assert filled(message, SEEN) == line


def test_a_value_is_put_in_once_and_never_read_as_a_message():
    assert filled("{args.a}", {"args": {"a": "{args.b}", "b": "secret"}}) == "{args.b}"


@given(st.text())
def test_a_value_stays_short_and_on_its_line(value):
    line = filled("before {args.a} after", {"args": {"a": value}})
    assert line.isprintable()
    assert line.startswith("before ")
    assert line.endswith(" after")
    assert len(line) <= len("before  after") + VALUE_LENGTH


@given(st.text(max_size=5000), st.integers(2, 600))
def test_a_line_has_no_breaks_no_controls_and_an_end(text, limit):
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


def test_marks_that_reorder_or_hide_text_are_taken_out():
    assert one_line("a\u202eb\u200bc\ufeffd\x00e\u2028f\ud800g") == "abcde fg"


@pytest.mark.parametrize(("name", "clean"), [("send_money", True), ("mcp__x__y", True), ("a.b:c/d-e", True), ("", False),
                                             ("a b", False), ("a\n", False), ("é", False), ("a" * 65, False)])  # fmt: skip
def test_only_plain_names_are_quoted(name, clean):
    assert clean_name(name) is clean


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("fine {args.any.thing} {vars.limit} {call.name} {model} {now} {args}", []),
        ("{size(args.x)}", [(0, "'{size(args.x)}' is not a value; messages take names like {args.amount} and {origin(args.to)}")]),
        ("x {}", [(2, "'{}' is not a value; messages take names like {args.amount} and {origin(args.to)}")]),
        ("x {agrs.y}", [(2, "unknown variable 'agrs'; did you mean 'args'?")]),
        ("{vars.limt}", [(0, "unknown variable 'vars.limt'; did you mean 'vars.limit'?")]),
        ("{call.zzz}", [(0, "unknown variable 'call.zzz'")]),
        ("{caller}", []),
    ],
)
def test_placeholders_that_nothing_can_fill_are_found(message, found):
    assert list(unknown_placeholders(message, {"limit": 1})) == found


# -- the text in place of a withheld call -----------------------------------------------------------------


def call(name="send_money"):
    return Call("c1", name, "{}", {}, 0)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (
            Verdict("deny", False, "rule", "Account X is not known.", policy="bank", rule="payee"),
            (
                'The call of tool "send_money" was blocked by policy "bank" (rule payee) and was NOT executed. Account X is'
                " not known. Do not retry the same call; use another tool or ask the user. [deny rule; decision dec_1]"
            ),
        ),
        (
            Verdict("deny", False, "not_granted", "Policy bank does not grant it.", policy="bank", rule="default"),
            (
                'The call of tool "send_money" was blocked by policy "bank" and was NOT executed. Policy bank does not grant'
                " it. Do not retry the same call; use another tool or ask the user. [deny not_granted; decision dec_1]"
            ),
        ),
        (
            Verdict("ask", False, "ask", "Too much.", policy="bank", rule="limit"),
            (
                'The call of tool "send_money" needs approval and was NOT executed. Too much. Do not retry the same call; use'
                " another tool or ask the user. [ask ask; decision dec_1]"
            ),
        ),
        (
            Verdict("ask", False, "approval_pending", "Too much.", policy="bank", rule="limit", approval="apr_1"),
            (
                'The call of tool "send_money" needs approval and was NOT executed. Too much. Approval pending: apr_1. Tell the'
                " user. Once it is approved, make exactly the same call again; repeating it before does not help."
                " [ask approval_pending; approval apr_1; decision dec_1]"
            ),
        ),
        (
            Verdict("deny", False, "approval_denied", "ann: not this one.", policy="b", approval="apr_1", decided_by="ann\nb"),
            (
                'The call of tool "send_money" was denied by ann b and was NOT executed. ann: not this one. Do not'
                " retry the same call; use another tool or ask the user. [deny approval_denied; approval apr_1; decision dec_1]"
            ),
        ),
        (
            Verdict("deny", False, "dup_key", "It cannot be read."),
            (
                'The call of tool "send_money" was blocked by the gateway and was NOT executed. It cannot be read. Do not'
                " retry the same call; use another tool or ask the user. [deny dup_key; decision dec_1]"
            ),
        ),
    ],
)
def test_a_denial_reads_like_this(verdict, text):
    assert denial_text(verdict, call(), "dec_1") == text


def test_a_denial_that_stopped_the_session_says_so_instead_of_advice_to_go_on():
    text = denial_text(Verdict("deny", False, "rule", "No."), call(), "dec_1", stopped=True)
    assert "This session is stopped" in text
    assert "use another tool" not in text


@given(st.text(), st.text(), st.text(max_size=200))
def test_a_denial_is_one_line_whatever_strangers_wrote(name, reason, decision):
    text = denial_text(Verdict("deny", False, "rule", reason), call(name), decision)
    assert text.isprintable()
    assert "was NOT executed" in text
    assert len(text) < LINE_LENGTH + 400
    if not clean_name(name):
        assert text.startswith("A tool call was blocked")


def test_in_the_place_of_an_answer_stands_who_withheld_it_and_why():
    text = withheld_text(Verdict("deny", False, "rule", "No\ncards.", policy="p", rule="r"), "dec_1")
    assert text.startswith('[The answer was withheld from here on by policy "p" (rule r). No cards. Do not say it in other words.')
    assert "dec_1" in text
