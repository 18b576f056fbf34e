"""Who gets which arm: the same everywhere, in proportion to the weights, and moved by a changed weight as little as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FileProblems
from gateway.prompt.binding import Bound, bound
from gateway.prompt.experiment import Experiment, read
from gateway.prompt.kept import Kept
from gateway.prompt.kept import read as kept
from gateway.prompt.library import Library, Move, Named
from gateway.prompt.trial import Stop, Trial

OLD = kept("support", b"---\nvariables: {shop: {type: string}}\n---\nOld in {{ shop }}.")
NEW = kept("support", b"---\nvariables: {shop: {type: string}}\nlabels: {canary: this}\n---\nNew in {{ shop }}.")
OTHER = kept("support", b"---\nvariables: {shop: {type: string, default: x}}\n---\nOther in {{ shop }}.")
REST = "metrics: {price: {measure: cost, matters: 1}}\nsessions: {min: 100, max: 1000}\n"
SESSIONS = [f"session-{n}" for n in range(2000)]


CANARY = "canary: {version: this, weight: 1}"


def experiment(name: str = "tone", label: str = "label: production\n", control: float = 1, arms: str = CANARY) -> Experiment:
    return read(name, f"prompt: support\n{label}control: {control}\narms: {{{arms}}}\n{REST}".encode(), f"experiments/{name}.yaml")


def library(*others: Kept, moves: dict | None = None) -> Library:
    versions = {each.version: each for each in (OLD, NEW, *others)}
    return Library({"support": NEW}, {"support": versions}, {"support": {"production": Move(OLD.version), **(moves or {})}})


def found(*experiments: Experiment, prompts: Library | None = None, stops: dict | None = None) -> Bound:
    return bound(experiments, prompts or library(), stops or {})


def trial(stops: dict | None = None, **more) -> Trial:
    made = found(experiment(**more), stops=stops)
    assert not made.problems
    return next(iter(made.trials.values()))


def weighted(control: float, *weights: float) -> Trial:
    return trial(control=control, arms=", ".join(f"arm{n}: {{version: this, weight: {weight}}}" for n, weight in enumerate(weights)))


def drawn(of: Trial, most: int | None = None) -> list[str]:
    return [of.arm(session).name for session in SESSIONS[:most]]


WEIGHT = st.floats(0.01, 1000)


@given(WEIGHT, st.lists(WEIGHT, min_size=1, max_size=4), WEIGHT, st.data())
def test_a_changed_weight_moves_sessions_only_to_the_arm_that_was_raised_or_only_away_from_it(control, weights, other, data):
    at = data.draw(st.integers(0, len(weights) - 1))
    changed = [*weights[:at], other, *weights[at + 1 :]]
    before, after = (drawn(weighted(control, *each), 300) for each in (weights, changed))
    moved = {(was, now) for was, now in zip(before, after, strict=True) if was != now}
    if other >= weights[at]:
        assert {now for _, now in moved} <= {f"arm{at}"}
    else:
        assert {was for was, _ in moved} <= {f"arm{at}"}


def test_arms_get_sessions_in_proportion_to_their_weights():
    of = weighted(70, 20, 10)
    counted = Counter(drawn(of))
    for name in of.weights:
        assert abs(counted[name] / len(SESSIONS) - of.share(name)) < 4 * (of.share(name) * (1 - of.share(name)) / len(SESSIONS)) ** 0.5


def test_another_experiment_draws_anew_so_that_one_does_not_measure_the_other():
    one, other = drawn(trial(name="tone")), drawn(trial(name="length"))
    same = sum(a == b for a, b in zip(one, other, strict=True)) / len(SESSIONS)
    assert abs(same - 0.5) < 4 * 0.5 / len(SESSIONS) ** 0.5


def test_the_arm_of_a_session_is_the_same_on_every_machine_and_in_every_version_of_the_gateway():
    of = weighted(50, 30, 20)
    assert [of.arm(f"s{n}").name for n in range(12)] == PINNED


PINNED = ["arm0", "control", "control", "arm0", "arm1", "arm1", "arm0", "arm0", "control", "control", "arm0", "arm0"]


def test_an_arm_of_weight_zero_gets_nobody():
    assert set(drawn(weighted(1, 0, 1))) == {"control", "arm1"}


def test_an_arm_that_is_out_gives_its_sessions_away_and_the_others_keep_theirs():
    of = experiment(arms="canary: {version: this, weight: 1}, third: {label: canary, weight: 1}")
    before = next(iter(found(of).trials.values()))
    after = next(iter(found(of, stops={of.design: Stop("tone", "e", {"canary": "halted"})}).trials.values()))
    assert all(now == was for was, now in zip(drawn(before), drawn(after), strict=True) if was != "canary")
    assert set(drawn(after)) == {"control", "third"}
    assert before.edition == after.edition
    assert before.said != after.said


def test_a_halt_holds_until_the_file_asks_for_something_else():
    halted = experiment()
    stops = {halted.design: Stop("tone", "e", {"canary": "halted"})}
    assert not trial(stops).running
    assert trial(stops, control=2).running


def test_requests_take_part_by_the_label_they_name_and_never_when_they_name_a_version():
    bound_ = found(experiment(), experiment("plain", label="", arms="b: {label: production, weight: 1}"))
    prompts = serving(library(), bound_)
    assert prompts.trial(Named("support", label="production")).name == "tone"
    assert prompts.trial(Named("support")).name == "plain"
    assert prompts.trial(Named("support", version=OLD.version[:10])) is None
    assert prompts.trial(Named("support", label="canary")) is None


def serving(prompts: Library, made: Bound) -> Library:
    return Library(prompts.heads, prompts.versions, prompts.moves, trials=made.trials, unfit=made.problems)


def test_an_experiment_whose_arms_are_all_out_is_none():
    of = experiment()
    prompts = serving(library(), found(of, stops={of.design: Stop("tone", "e", {"canary": "promoted"})}))
    assert prompts.trial(Named("support", label="production")) is None
    running = serving(library(), found(of))
    assert running.hash != prompts.hash


def test_the_control_is_what_requests_get_anyway_and_arms_are_what_the_file_says():
    of = trial(arms=f"a: {{version: '{OLD.version[:12]}', weight: 1}}, b: {{weight: 1, model: m, parameters: {{top_p: 0.5}}}}")
    assert of.control.kept is OLD
    assert [(arm.kept, arm.model, dict(arm.parameters)) for arm in of.arms] == [(OLD, None, {}), (OLD, "m", {"top_p": 0.5})]
    assert of.names_models
    assert not trial().names_models


def test_results_begin_anew_when_a_label_moves():
    moved = found(experiment(), prompts=library(moves={"production": Move(NEW.version)}))
    assert next(iter(moved.trials.values())).edition != trial().edition


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: found(experiment(label="label: prod\n")), "tone.yaml:2:8: error: The prompt 'support' has no label 'prod'"),
        (lambda: found(experiment(arms="a: {version: '00000000', weight: 1}")), "no version beginning with '00000000'"),
        (lambda: found(experiment(arms="a: {label: nowhere, weight: 1}")), "has no label 'nowhere'"),
        (lambda: found(experiment(arms=f"a: {{version: '{OTHER.version}', weight: 1}}"), prompts=library(OTHER)), "takes other variables"),
        (lambda: found(experiment(), experiment("other")), "experiments/tone.yaml:1:9: error: the experiment 'other' is about the same"),
        (lambda: bound([experiment()], Library(), {}), "There is no prompt 'support'"),
    ],
)
def test_what_cannot_be_used_is_not_in_force_and_says_where_it_is_wrong(made, says):
    unfit = made()
    assert says in "\n".join(map(str, unfit.problems))
    assert len(unfit.trials) == (1 if "same" in says else 0)


def test_one_that_has_ended_is_in_nobodys_way():
    ended = experiment("other")
    made = found(experiment(), ended, stops={ended.design: Stop("other", "e", {"canary": "ended"})})
    assert not made.problems
    assert serving(library(), made).trial(Named("support", label="production")).name == "tone"


def test_results_that_count_are_those_of_the_edition_in_which_the_last_arm_went_out():
    of = experiment(arms="canary: {version: this, weight: 1}, third: {label: canary, weight: 1}")
    one, both = ({of.design: Stop("tone", "then", dict.fromkeys(arms, "halted"))} for arms in (["canary"], ["canary", "third"]))
    running, over = (next(iter(found(of, stops=stops).trials.values())) for stops in (one, both))
    assert running.judged == running.edition != "then"
    assert over.judged == "then"


def test_it_begins_at_its_start_and_not_before():
    text = f"prompt: support\ncontrol: 1\narms: {{a: {{version: this, weight: 1}}}}\nstarts: 2026-12-01T08:00:00Z\n{REST}"
    of = next(iter(found(read("late", text.encode(), "experiments/late.yaml")).trials.values()))
    start = of.experiment.plan.starts_us
    assert (of.begun(start - 1), of.begun(start)) == (False, True)
    assert trial().begun(0)


def test_a_file_with_a_slip_is_no_experiment():
    with pytest.raises(FileProblems):
        experiment(control=-1)
