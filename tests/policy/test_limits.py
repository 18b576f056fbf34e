"""Limits: what fits passes and counts, what does not is withheld, and nothing else is counted."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Caller
from gateway.policy import Facts, evaluate, load
from gateway.policy.amounts import UNIT
from gateway.verdict import Call, RuleHit

HEAD = "policy: 1\nid: p\nagents: ['*']\nallow: [pay, mail]\n"
SPEND = "- {id: spend, tools: [pay], sum: args.amount, per: user, window: 24h, max: 100}\n"
FEW = "- {id: few, tools: [pay, mail], per: session, max: 2}\n"
ADA = Caller("bot", key_id="k1", user="ada", session="s1")


class Book:
    """A meter that keeps everything by charge, and what it was asked."""

    def __init__(self):
        self.spent, self.asked = {}, []

    def look(self, charges, now_us):
        self.asked.append([charge.limit for charge in charges])
        return [self.spent.get(self._key(charge), 0) for charge in charges]

    def take(self, charges, now_us):
        spent = self.look(charges, now_us)
        if all(charge.fits(before) for charge, before in zip(charges, spent, strict=True)):
            for charge, before in zip(charges, spent, strict=True):
                self.spent[self._key(charge)] = before + charge.amount
        return spent

    @staticmethod
    def _key(charge):
        return charge.policy, charge.limit, charge.what, charge.whose, bool(charge.window_us), charge.shadow

    def of(self, limit, shadow=False):
        return sum(amount for key, amount in self.spent.items() if key[1] == limit and key[-1] is shadow)


class Broken:
    def take(self, charges, now_us):
        raise OSError("disk gone")

    look = take


@pytest.fixture
def book():
    return Book()


def judged(policies, meter, tool="pay", args=None, caller=ADA, **more):
    call = Call("c", tool, "{}", {"amount": 40} if args is None else args, 0, **more)
    return evaluate(policies, Facts(call, caller, "openai.chat", "m", meter=meter))


def limited(limits, head=HEAD, more=""):
    return load({"p.yaml": f"{head}{more}limits:\n{limits}".encode()})


def test_what_fits_passes_and_counts_and_the_rest_is_denied_by_the_limit(book):
    policies = limited(SPEND)
    assert [judged(policies, book).released for _ in range(3)] == [True, True, False]
    verdict = judged(policies, book)
    said = "limit spend allows 100 of args.amount per user in 24h; 20 is left, and this call takes 40"
    assert (verdict.effect, verdict.code, verdict.policy, verdict.rule) == ("deny", "rule", "p", "spend")
    assert verdict.reason == said + "."
    assert verdict.hits == (RuleHit("p", "allow", "allow", line=4), RuleHit("p", "spend", "deny", message=said, line=6))
    assert judged(policies, book, args={"amount": 20.0}).released
    assert book.of("spend") == 100 * UNIT


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("per: session, max: 1", "limit l allows 1 call per session, and counts 1 already."),
        ("per: key, max: 1", "limit l allows 1 call per key in one session, and counts 1 already."),
        ("per: agent, window: 30m, max: 1.5", "limit l allows 1.5 calls per agent in 30m, and counts 1 already."),
        ("per: session, window: 7d, max: 1", "limit l allows 1 call per session in 7d, and counts 1 already."),
        ("per: user, sum: args.amount, max: 9",
         "limit l allows 9 of args.amount per user in one session; 9 is left, and this call takes 40."),
        ("per: user, max: 0", "limit l allows 0 calls per user in one session, and counts 0 already."),
        ("per: user, max: 0, message: 'no {args.amount} today'", "no 40 today."),
    ],
)  # fmt: skip
def test_a_limit_says_what_it_allows_and_what_is_left(book, limit, said):
    policies = limited(f"- {{id: l, {limit}}}\n")
    judged(policies, book)
    assert judged(policies, book).reason == said


def test_a_limit_may_ask_instead(book):
    verdict = judged(limited("- {id: l, per: user, max: 0, effect: ask}\n"), book)
    assert (verdict.effect, verdict.released, verdict.code) == ("ask", False, "ask")


NESTED = "- {id: spend, tools: [pay], sum: args.a.b, per: user, window: 24h, max: 100}\n"


@pytest.mark.parametrize("effect", ["deny", "ask"])
@pytest.mark.parametrize("args", [{}, {"a": 1}, {"a": {}}, *({"a": {"b": b}} for b in ("1", None, True, -1, [1], {}))])
def test_what_cannot_be_counted_is_a_hit_and_takes_from_no_limit(book, args, effect):
    policies = limited(NESTED.replace("max: 100", f"max: 100, message: never said, effect: {effect}") + FEW)
    verdict = judged(policies, book, args=args)
    assert (verdict.effect, verdict.released, verdict.rule) == (effect, False, "spend")
    assert [(hit.rule, hit.error) for hit in verdict.hits] == [("allow", False), ("spend", True)]
    assert "missing here, no number or below zero" in verdict.hits[1].message
    assert book.spent == {}


def test_a_nested_argument_is_counted(book):
    assert judged(limited(NESTED), book, args={"a": {"b": 7.25}}).released
    assert book.of("spend") == 7_250_000


@pytest.mark.parametrize("effect", ["deny", "ask"])
def test_a_call_that_a_rule_withholds_takes_nothing_but_shows_what_it_would_not_fit(book, effect):
    rules = f"rules:\n- {{id: big, when: args.amount > 50, effect: {effect}}}\n"
    policies = limited(SPEND, more=rules)
    assert [judged(policies, book, args={"amount": n}).released for n in (60, 50, 50, 50)] == [False, True, True, False]
    assert [hit.rule for hit in judged(policies, book, args={"amount": 60}).hits] == ["allow", "big", "spend"]
    assert book.of("spend") == 100 * UNIT


@pytest.mark.parametrize("call", [{"tool": "other"}, {"problem": "dup_key"}])
def test_what_is_not_granted_or_cannot_be_read_takes_nothing(book, call):
    assert not judged(limited(SPEND + FEW.replace("[pay, mail]", "['*']")), book, **call).released
    assert book.spent == {}


def test_a_warning_does_not_keep_a_call_from_counting(book):
    policies = limited(FEW, more="rules:\n- {id: w, effect: warn}\n")
    assert [judged(policies, book).effect for _ in range(3)] == ["warn", "warn", "deny"]


def test_when_one_limit_is_full_the_others_take_nothing(book):
    policies = limited(SPEND + FEW)
    assert [judged(policies, book, args={"amount": n}).released for n in (90, 20, 5, 1)] == [True, False, True, False]
    assert (book.of("spend"), book.of("few")) == (95 * UNIT, 2 * UNIT)
    assert [hit.rule for hit in judged(policies, book, args={"amount": 9}).hits] == ["allow", "spend", "few"]


def test_no_store_is_asked_when_no_limit_is_about_the_tool(book):
    policies = limited(SPEND)
    assert judged(policies, book, "mail").released
    assert judged(policies, Broken(), "mail").released
    assert book.asked == []


@pytest.mark.parametrize("effect", ["deny", "ask"])
@pytest.mark.parametrize("meter", [{"meter": Broken()}, {}])
def test_a_store_that_cannot_be_asked_denies(meter, effect):
    policies = limited(f"- {{id: l, per: user, max: 9, effect: {effect}}}\n")
    verdict = evaluate(policies, Facts(Call("c", "pay", "{}", {}, 0), ADA, "openai.chat", "m", **meter))
    assert (verdict.effect, verdict.released, verdict.code, verdict.rule) == ("deny", False, "policy_error", "l")
    assert "try again" in verdict.reason
    assert verdict.hits[1].error


# -- whose count ------------------------------------------------------------------------------------------

OTHERS = {
    "another session": Caller("bot", key_id="k1", user="ada", session="s2"),
    "another key": Caller("bot", key_id="k2", user="ada", session="s1"),
    "another agent": Caller("cook", key_id="k1", user="ada", session="s1"),
    "another user": Caller("bot", key_id="k1", user="bob", session="s1"),
    "another organisation": Caller("bot", key_id="k1", user="ada", session="s1", org="acme"),
}
APART = {"another session", "another key", "another agent", "another organisation"}


@pytest.mark.parametrize(
    ("limit", "apart"),
    [
        ("per: session", APART),
        ("per: session, window: 1h", APART),
        ("per: agent, window: 1h", {"another agent", "another organisation"}),
        ("per: user, window: 1h", {"another user", "another organisation"}),
        ("per: key, window: 1h", {"another key"}),
        ("per: agent", APART),
        ("per: user", set(OTHERS)),
        ("per: key", APART),
    ],
)
def test_what_counts_together_is_what_per_and_window_say(book, limit, apart):
    policies = limited(f"- {{id: l, {limit}, max: 1}}\n")
    assert judged(policies, book).released
    assert {name for name, caller in OTHERS.items() if judged(policies, book, caller=caller).released} == apart


@pytest.mark.parametrize("per", ["user", "key"])
def test_callers_that_the_key_does_not_tell_apart_count_together(book, per):
    policies = limited(f"- {{id: l, per: {per}, window: 1h, max: 1}}\n")
    assert judged(policies, book, caller=Caller("bot", session="s1")).released
    assert not judged(policies, book, caller=Caller("cook", session="s2")).released
    assert judged(policies, book).released


def test_a_limit_that_is_included_twice_counts_a_call_once(book):
    library = f"policy: 1\nid: lib\nlimits:\n{FEW}".encode()
    files = {f"{name}.yaml": f"{HEAD.replace('id: p', f'id: {name}')}include: [lib.yaml]\ndefault: {default}\n".encode()
             for name, default in (("a", "deny"), ("b", "ask"))}  # fmt: skip
    policies = load(files | {"lib.yaml": library})
    assert [judged(policies, book).released for _ in range(3)] == [True, True, False]
    assert [(hit.policy, hit.rule) for hit in judged(policies, book).hits][-1] == ("lib", "few")
    assert book.of("few") == 2 * UNIT


# -- shadow -----------------------------------------------------------------------------------------------


def test_a_limit_in_shadow_counts_apart_and_only_records(book):
    shadowed = FEW.replace("max: 2", "max: 1, mode: shadow").replace("id: few", "id: fewer")
    policies = limited(FEW + shadowed)
    verdicts = [judged(policies, book) for _ in range(3)]
    assert [(v.effect, v.would) for v in verdicts] == [("allow", None), ("allow", "deny"), ("deny", None)]
    assert [(hit.rule, hit.mode) for hit in verdicts[1].hits] == [("allow", "enforce"), ("fewer", "shadow")]
    assert (book.of("few"), book.of("fewer"), book.of("fewer", shadow=True)) == (2 * UNIT, 0, UNIT)


def test_a_policy_in_shadow_takes_nothing_from_what_is_enforced_later(book):
    shadow = limited(FEW, head=HEAD + "mode: shadow\n")
    assert [(v.released, v.would) for v in (judged(shadow, book) for _ in range(3))] == [(True, None), (True, None), (True, "deny")]
    assert [judged(limited(FEW), book).released for _ in range(3)] == [True, True, False]


def test_what_is_withheld_does_not_count_in_shadow_either(book):
    policies = limited(SPEND + FEW.replace("max: 2", "max: 2, mode: shadow"))
    assert [judged(policies, book, args={"amount": 60}).released for _ in range(2)] == [True, False]
    assert not judged(policies, book, args={}).released
    assert book.of("few", shadow=True) == UNIT


@pytest.mark.parametrize("meter", [Broken(), Book()])
def test_nothing_in_shadow_withholds_a_call(meter):
    policies = limited(SPEND.replace("max: 100", "max: 1, mode: shadow"))
    for args in ({}, {"amount": 5}):
        verdict = judged(policies, meter, args=args)
        assert (verdict.released, verdict.would) == (True, "deny")


# -- whatever is asked ------------------------------------------------------------------------------------

CENTS = st.integers(0, 5000).map(lambda cents: cents / 100)


@given(st.lists(st.one_of(CENTS, st.integers(0, 60), st.floats(0, 200), st.just("x")), max_size=30))
def test_what_passes_never_exceeds_the_limit_and_what_would_fit_is_never_denied(amounts):
    book, policies, passed = Book(), SPENDING, Fraction(0)
    for amount in amounts:
        released = judged(policies, book, args={"amount": amount}).released
        if amount == "x":
            assert not released
            continue
        exact = Fraction(repr(amount))
        if released:
            passed += exact
        else:
            assert passed + exact > 100 - Fraction(len(amounts), UNIT)
        assert passed <= 100


SPENDING = limited(SPEND)


ASKED = "rules:\n- {id: person, tools: [pay], effect: ask}\n"


def approved(policies, meter, args=None):
    call = Call("c", "pay", "{}", {"amount": 40} if args is None else args, 0)
    return evaluate(policies, Facts(call, ADA, "openai.chat", "m", meter=meter, approved=True))


def test_a_call_that_waits_for_a_person_takes_nothing_until_it_was_approved(book):
    policies = limited(SPEND, more=ASKED)
    assert judged(policies, book).effect == "ask"
    assert book.of("spend") == 0
    assert approved(policies, book).effect == "ask"
    assert book.of("spend") == 40 * UNIT


def test_an_approval_does_not_make_room_in_a_limit(book):
    policies = limited(SPEND, more=ASKED)
    assert [approved(policies, book).effect for _ in range(3)] == ["ask", "ask", "deny"]
    assert book.of("spend") == 80 * UNIT


def test_an_approved_call_that_a_rule_denies_takes_nothing(book):
    policies = limited(SPEND, more=f"{ASKED}- {{id: never, tools: [pay]}}\n")
    assert approved(policies, book).effect == "deny"
    assert book.of("spend") == 0


@pytest.mark.parametrize("change", ["max: 50", "max: 1"])
def test_what_a_person_approved_beyond_a_limit_that_asks_passes_and_counts(book, change):
    policies = limited(SPEND.replace("max: 100", f"{change}, effect: ask") + FEW)
    first = judged(policies, book)
    verdict = approved(policies, book)
    assert (verdict.effect, verdict.rule, [hit.rule for hit in verdict.hits]) == ("ask", "spend", ["allow", "spend"])
    assert book.of("spend") == (80 if first.released else 40) * UNIT
    assert book.of("few") == (2 if first.released else 1) * UNIT
    assert not judged(policies, book, args={"amount": 1}).released


def test_a_full_limit_keeps_an_approved_call_from_taking_anywhere(book):
    policies = limited(SPEND.replace("max: 100", "max: 10, effect: ask") + FEW)
    assert [approved(policies, book).effect for _ in range(3)] == ["ask", "ask", "deny"]
    assert (book.of("spend"), book.of("few")) == (80 * UNIT, 2 * UNIT)


def test_a_person_can_approve_what_cannot_be_counted_but_not_what_no_store_counts(book):
    policies = limited(SPEND.replace("max: 100", "max: 50, effect: ask") + FEW)
    assert approved(policies, book, {}).effect == "ask"
    assert (book.of("spend"), book.of("few")) == (0, UNIT)
    assert approved(policies, Broken(), {}).effect == "deny"


def test_a_limit_reacts_like_a_rule(book):
    asks, steers = "- {id: l, per: user, max: 0, effect: ask, four_eyes: true}\n", "- {id: m, per: user, max: 0, on_deny: steer}\n"
    verdict = judged(limited(asks + steers), book)
    assert (verdict.rule, verdict.on_deny) == ("m", "steer")
    assert [(hit.rule, hit.four_eyes) for hit in verdict.hits] == [("allow", False), ("l", True), ("m", False)]
