"""What one look makes of the figures: halted, promoted, ended or gone on, and what it says about it."""

from __future__ import annotations

import pytest

from gateway.prompt.binding import bound
from gateway.prompt.experiment import CONTROL, read
from gateway.prompt.kept import read as kept
from gateway.prompt.library import Library
from gateway.prompt.trial import Stop, Trial
from gateway.rollout.deciding import Counted, Look, due, take
from gateway.rollout.statistics import Group

HEAD = kept("support", b"---\nlabels: {production: this}\n---\nWords.")
PLAN = """prompt: support
label: production
control: 1
arms: {canary: {version: this, weight: 1}}
metrics:
  success: {measure: feedback, of: task_success, matters: 0.03, missing: 0}
  price: {measure: cost, matters: 0.01}
  speed: {measure: latency, matters: 100}
guards: [success, price]
sessions: {min: 1000, max: 5000}
promote: true
"""


def trial(text: str = PLAN, stops: dict | None = None) -> Trial:
    prompts = Library({"support": HEAD}, {"support": {HEAD.version: HEAD}})
    found = bound([read("tone", text.encode(), "experiments/tone.yaml")], prompts, stops or {})
    assert not found.problems
    return found.trials["tone"]


def counted(sessions: int = 2500, arms: dict[str, dict[str, float]] | None = None, uneven: int = 0) -> Counted:
    """As many sessions in each arm, alike but for what is said."""
    groups, whole = {}, {}
    for arm, said in {CONTROL: {}, **(arms or {"canary": {}})}.items():
        whole[arm] = sessions + (uneven if arm == CONTROL else 0)
        means = {"success": 0.8, "price": 0.02, "speed": 900.0} | said
        known = {"success": (0.4, whole[arm]), "price": (0.01, whole[arm]), "speed": (500.0, whole[arm])}
        groups |= {(arm, name): Group(known[name][1], mean, known[name][0]) for name, mean in means.items()}
    return Counted(whole, groups)


def look(found: Counted, text: str = PLAN, earlier: tuple[float, ...] = (), over: bool = False) -> Look:
    return take(trial(text), earlier, found, over=over)


def ruled(found: Look) -> list[tuple[str, str]]:
    return [(ruling.arm, ruling.outcome) for ruling in found.rulings]


LAST = (0.2, 0.4, 0.6, 0.8)


def test_looks_are_evenly_between_the_fewest_and_the_most_sessions():
    plan = trial().experiment.plan
    assert [due(plan, n) for n in range(6)] == [1000, 2000, 3000, 4000, 5000, 5000]
    assert due(trial(PLAN + "looks: 1\n").experiment.plan, 0) == 5000


@pytest.mark.parametrize("sessions", [500, 2500])
def test_an_arm_that_is_worse_by_what_matters_and_by_more_than_chance_is_halted(sessions):
    found = look(counted(sessions, {"canary": {"success": 0.68}}))
    assert ruled(found) == [("canary", "halted")]
    assert found.rulings[0].why.startswith("worse: success is 0.68 instead of 0.8, a difference of -0.12 (")
    assert found.rulings[0].why.endswith(f"; look 1 of 5, {2 * sessions} sessions")


def test_dearer_is_worse_and_cheaper_is_not():
    assert ruled(look(counted(2500, {"canary": {"price": 0.04}}))) == [("canary", "halted")]
    assert ruled(look(counted(2500, {"canary": {"price": 0.001}}))) == [("canary", "promoted")]


def test_what_is_proven_but_does_not_matter_halts_nobody_and_keeps_nobody_from_being_promoted():
    cheaper = counted(2500, {"canary": {"price": 0.023}})
    assert ruled(look(cheaper, earlier=LAST)) == [("canary", "promoted")]
    assert {each.metric: each.finding for each in look(cheaper).seen}["price"] == "no_worse"


def test_what_matters_but_may_be_chance_halts_nobody_and_is_not_promoted():
    few = counted(500, {"canary": {"success": 0.765}})
    assert ruled(look(few)) == []
    final = look(few, earlier=LAST)
    assert ruled(final) == [("canary", "ended")]
    assert final.rulings[0].why.startswith("neither worse nor surely no worse: success")


def test_what_is_no_guard_decides_nothing_but_is_told():
    slow = look(counted(2500, {"canary": {"speed": 5000.0}}))
    assert ruled(slow) == [("canary", "promoted")]
    assert {each.metric: each.finding for each in slow.seen}["speed"] == "worse"


def test_at_the_last_look_all_of_the_risk_is_spent_also_when_time_is_up_first():
    assert look(counted(2500)).share == look(counted(500), over=True).share == look(counted(500), earlier=LAST).share == 1.0
    assert look(counted(500)).share == 0.2


def test_without_the_wish_an_arm_is_never_promoted():
    final = look(counted(), PLAN.replace("promote: true", ""))
    assert ruled(final) == [("canary", "ended")]
    assert final.rulings[0].why.startswith("no worse: success")
    nothing = look(counted(), PLAN.replace("promote: true", "").replace("guards: [success, price]", ""))
    assert nothing.rulings[0].why.startswith("it has ended; nothing is guarded")


def test_sessions_that_fall_to_arms_as_no_chance_would_keep_it_from_being_promoted():
    final = look(counted(2500, uneven=300))
    assert ruled(final) == [("canary", "ended")]
    assert "as no chance would with these weights (control 2800, canary 2500)" in final.rulings[0].why


def test_an_arm_of_which_too_little_is_known_is_not_promoted():
    known = counted()
    groups = {key: group for key, group in known.groups.items() if key != ("canary", "price")}
    final = look(Counted(known.sessions, groups))
    assert ruled(final) == [("canary", "ended")]
    assert "price is known of 0 sessions of 'canary' and 2500 of the control, and 30 of each are needed" in final.rulings[0].why


def test_sessions_of_which_nobody_says_anything_count_as_the_file_says():
    known = counted()
    groups = dict(known.groups) | {("canary", "success"): Group(1250, 0.9, 0.3)}
    final = look(Counted(known.sessions, groups))
    assert ruled(final) == [("canary", "halted")]
    assert final.rulings[0].seen.group.mean == pytest.approx(0.45)
    without = look(Counted(known.sessions, groups), PLAN.replace(", missing: 0", ""))
    assert ruled(without) == [("canary", "promoted")]


TWO = PLAN.replace("promote: true", "").replace("weight: 1}}", "weight: 1}, third: {version: this, weight: 0}}")


def test_each_arm_is_ruled_by_itself_and_one_that_is_out_is_not_looked_at():
    both = counted(1000, {"canary": {"success": 0.6}, "third": {}})
    assert ruled(look(both, TWO)) == [("canary", "halted")]
    out = trial(TWO, {trial(TWO).experiment.design: Stop("tone", "e", {"canary": "halted"})})
    assert {each.arm for each in take(out, LAST, both, over=False).seen} == {"third"}
    assert [each.outcome for each in take(out, LAST, both, over=False).rulings] == ["ended"]


def test_more_guards_and_arms_share_the_risk():
    assert look(counted(500)).level < look(counted(500), PLAN.replace("guards: [success, price]", "guards: [success]")).level
    assert look(counted(500), TWO).level < look(counted(500)).level


def test_an_arm_of_weight_zero_does_not_make_the_others_uneven():
    text = PLAN.replace("weight: 1}", "weight: 0}")
    assert ruled(look(Counted({CONTROL: 5000}, {}), text)) == [("canary", "ended")]
