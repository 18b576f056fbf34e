"""Time zones in conditions: what clocks on the wall show there, on every machine; and those that there are none of."""

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytz
from hypothesis import given
from hypothesis import strategies as st

from gateway import policy_folder
from gateway.policy.expressions import CannotTell, Condition, Size, activation, compile_condition, timestamp

GETS = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
}
CHANGING = ("Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Europe/Dublin", "Antarctica/Troll")
CHANGES = [
    int(at.replace(tzinfo=dt.UTC).timestamp())
    for zone in CHANGING
    for at in pytz.timezone(zone)._utc_transition_times
    if 2020 < at.year < 2030
]


def holds(source: str, at_s: int, model: str = "") -> bool:
    condition = compile_condition(source, ())
    assert isinstance(condition, Condition), condition
    return condition.holds(activation({"now": timestamp(at_s * 1_000_000), "model": model}), Size(100, 100))


@given(
    st.sampled_from([*CHANGING, "Asia/Kathmandu", "UTC", "Etc/GMT-14"]),
    st.integers(946_684_800, 2_114_380_800) | st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-7200, 7200)),
    st.sampled_from(sorted(GETS)),
)
def test_conditions_see_what_clocks_there_show(zone, at_s, name):
    shown = GETS[name](dt.datetime.fromtimestamp(at_s, pytz.timezone(zone)))
    assert holds(f"now.{name}('{zone}') == int(model)", at_s, str(shown))
    assert not holds(f"now.{name}('{zone}') == int(model)", at_s, str(shown + 1))


def test_an_offset_is_a_zone_too():
    assert holds("now.getHours('+05:30') == 5 && now.getMinutes('+05:30') == 30 && now.getDate('-00:01') == 31", 0)
    assert holds("now.getHours('+14:00') == 14 && now.getHours('-12:00') == 12", 0)


NONE = ["PST", "Europe/Zürich", "GMT+2", "europe/zurich", "Nowhere", "localtime", "/etc/localtime", ":UTC", "", "+14:01", "-25:00", "05:60"]


@pytest.mark.parametrize("zone", NONE)
def test_a_zone_that_there_is_none_of_is_told_at_load(zone):
    (defect,) = compile_condition(f"has(args.x) && now.getHours('{zone}') < 8", ())
    assert f"no time zone '{zone}'" in defect.message
    assert defect.offset == len("has(args.x) && now.getHours(")


def test_a_zone_that_comes_with_a_call_and_is_none_cannot_be_told():
    with pytest.raises(CannotTell):
        holds("now.getHours(model) < 8", 0, "PST")


def test_zones_are_those_installed_with_the_gateway_unless_the_operator_has_others(tmp_path):
    source = "now.getHours('Europe/Zurich') == 1"
    found = "import gateway.policy_folder; from gateway.policy.expressions import compile_condition"
    looked = f"{found}; print(type(compile_condition({source!r}, ())).__name__)"
    for own, said in (({}, "Condition"), ({"TZDIR": str(tmp_path)}, "list")):
        environment = {name: value for name, value in os.environ.items() if name != "TZDIR"} | own
        told = subprocess.run([sys.executable, "-c", looked], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == said
    assert "pytz" in os.environ["TZDIR"]


def test_without_the_package_the_systems_zones_are_taken(monkeypatch):
    monkeypatch.delenv("TZDIR")
    monkeypatch.setattr(policy_folder, "find_spec", lambda name: None)
    policy_folder.point_to_installed_zones()
    assert "TZDIR" not in os.environ


def test_whoever_loads_policies_has_the_zones():
    for file in Path(policy_folder.__file__).parent.rglob("*.py"):
        if re.search(r"^from gateway.policy import .*\bload\b", text := file.read_text(), re.MULTILINE):
            assert file.name == "policy_folder.py" or re.search(r"^from gateway.policy_folder import ", text, re.MULTILINE), file
