"""Where a rollback goes: the fleet's record, what a host has, and what is named. No host is needed for these."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.plugins import load

record = load("bramble_record", "filter/bramble_record.py")

X, Y = "x", "y"


def host_at(current: str, previous: str = "A-cp311-1", **releases: Any) -> dict[str, Any]:
    """Return what a look saw of a host that has releases A, B and C, and others that are named with what differs."""
    known = {"complete": True, "proved": True, "etc": True, "fits": True, "since": 1.0}
    there = {name: known for name in ("A-cp311-1", "B-cp311-1", "C-cp311-1")}
    others = {name.replace("_", "-"): {**known, **differs} for name, differs in releases.items()}
    units = {"bramble-client.service": {"given": "same"}}
    return {"client": {"current": current, "previous": previous, "releases": {**there, **others}, "not_live": [], "units": units}}


def every(release: str, *hosts: str) -> dict[str, dict[str, str]]:
    return {host: {"client": f"{release}-cp311-1"} for host in hosts or (X, Y)}


def rolled_out(*releases: str) -> str:
    """Return the record after both hosts were brought to one release after the other."""
    fleet = ""
    for release in releases:
        fleet = record.bramble_rolled_out(fleet, {}, every(release))
    return str(fleet)


def back(fleet: str, host: str, there: dict[str, Any], named: str = "") -> str:
    return str(record.bramble_back(fleet, host, there, named)["client"])


def test_a_rollback_goes_back_before_the_last_roll_out_and_once_more_forward() -> None:
    fleet = rolled_out("A", "B")
    assert back(fleet, X, host_at("B-cp311-1")) == "A-cp311-1"
    fleet = record.bramble_rolled_back(record.bramble_rollback_begins(fleet, every("A"), [X, Y]), [X, Y])
    assert back(fleet, X, host_at("A-cp311-1")) == "B-cp311-1"


def test_a_rollback_that_was_cut_is_finished_by_the_next() -> None:
    fleet = record.bramble_rollback_begins(rolled_out("A", "B"), every("A"), [X, Y])
    assert back(fleet, X, host_at("A-cp311-1")) == "A-cp311-1", "who is there already is not taken forward again"
    assert back(fleet, Y, host_at("B-cp311-1")) == "A-cp311-1"


def test_whom_a_rollback_did_not_reach_goes_there_with_the_next() -> None:
    fleet = rolled_out("A", "B")
    assert record.bramble_back_away(fleet, [Y]) == every("A", Y)
    fleet = record.bramble_rolled_back(record.bramble_rollback_begins(fleet, every("A"), [X, Y]), [X])
    assert json.loads(fleet)["begun"] == [Y]
    assert back(fleet, Y, host_at("B-cp311-1")) == "A-cp311-1"
    assert back(fleet, X, host_at("A-cp311-1")) == "A-cp311-1"


def test_after_a_roll_out_that_was_stopped_everybody_goes_to_where_the_fleet_was_however_often() -> None:
    fleet = record.bramble_roll_out_begins(rolled_out("A", "B"), {}, [X, Y])
    for _ in range(3):
        assert back(fleet, X, host_at("C-cp311-1")) == "B-cp311-1"
        assert back(fleet, Y, host_at("B-cp311-1")) == "B-cp311-1", "who was left untouched stays"
        fleet = record.bramble_rolled_back(record.bramble_rollback_begins(fleet, every("B"), [X]), [X, Y])


def test_the_first_record_of_a_fleet_knows_what_ran_until_then() -> None:
    fleet = record.bramble_roll_out_begins("", every("B"), [X, Y])
    assert back(fleet, Y, host_at("B-cp311-1")) == "B-cp311-1", "though A ran before on this host"
    assert back(record.bramble_rolled_out(fleet, {}, every("C")), X, host_at("C-cp311-1")) == "B-cp311-1"


def test_the_first_roll_out_over_a_fleet_without_a_record_can_be_taken_back() -> None:
    fleet = record.bramble_rolled_out("", {**every("B"), "hub": {}}, every("C"))
    assert back(fleet, X, host_at("C-cp311-1")) == "B-cp311-1", "such as release 0.1, though A ran before on this host"
    assert record.bramble_rolled_out(fleet, every("C"), every("C")) == fleet, "and one with nothing to do changes nothing"


def test_a_look_fills_in_only_what_the_record_lacks() -> None:
    fleet = record.bramble_roll_out_begins(rolled_out("B"), {**every("C", X), "z": {"client": "C-cp311-1"}}, [X])
    assert json.loads(fleet)["now"] == {**every("B"), "z": {"client": "C-cp311-1"}}


def test_a_host_that_the_last_roll_out_did_not_touch_stays() -> None:
    fleet = record.bramble_rolled_out(rolled_out("A", "B"), {}, every("C", X))
    assert back(fleet, X, host_at("C-cp311-1")) == "B-cp311-1"
    assert back(fleet, Y, host_at("B-cp311-1")) == "B-cp311-1"


def test_a_host_that_came_with_the_last_roll_out_has_nothing_to_go_back_to() -> None:
    fleet = record.bramble_rolled_out(rolled_out("A"), {}, every("B", X, Y, "z"))
    there = host_at("B-cp311-1", previous="")
    assert back(fleet, "z", there) == ""
    (sentence,) = record.bramble_no_way_back(fleet, "z", there)
    assert sentence.startswith("z has no earlier release of the client to roll back to: it has B-cp311-1 and")


def test_a_release_is_named_by_its_version_or_its_whole_name() -> None:
    assert back("", X, host_at("B-cp311-1"), "C") == "C-cp311-1"
    assert back("", X, host_at("B-cp311-1"), "A-cp311-1") == "A-cp311-1"
    assert back("", X, host_at("B-cp311-1"), "D") == ""
    (sentence,) = record.bramble_no_way_back("", X, host_at("B-cp311-1"), "D")
    assert sentence.startswith("x has no release D of the client to roll back to: it has B-cp311-1 and")


def test_of_several_releases_of_the_version_named_it_is_the_one_that_was_live_last() -> None:
    there = host_at("B-cp311-1", C_cp311_0={"since": 7.0}, C_cp311_9={"since": 0.5})
    assert back("", X, there, "C") == "C-cp311-0", "neither the first nor the last by its name"


def test_whoever_is_at_the_version_named_stays_whatever_was_live_later() -> None:
    assert back("", X, host_at("B-cp311-1", B_cp311_9={"since": 9.0}), "B") == "B-cp311-1"


@pytest.mark.parametrize("differs", [{"complete": False}, {"fits": False}], ids=["half of it", "for another Python"])
def test_what_cannot_run_is_none_to_go_back_to(differs: dict[str, Any]) -> None:
    there = host_at("B-cp311-1", D_cp311_1={**differs, "since": 9.0})
    assert back("", X, there, "D") == ""
    fleet = record.bramble_rolled_out(rolled_out("D"), {}, every("B"))
    (sentence,) = record.bramble_no_way_back(fleet, X, there)
    assert sentence.startswith("x has no release D-cp311-1 of the client to roll back to"), sentence


def test_a_host_with_another_python_goes_back_to_the_same_release_for_that() -> None:
    fleet = rolled_out("A", "B")
    there = host_at("B-cp313-1", A_cp313_2={"since": 9.0}, A_cp313_1={}, B_cp313_1={})
    for name in ("A-cp311-1", "B-cp311-1", "C-cp311-1"):
        there["client"]["releases"][name] = {**there["client"]["releases"][name], "fits": False}
    assert back(fleet, X, there) == "A-cp313-1", "with the same settings, though another was live later"
    del there["client"]["releases"]["A-cp313-1"]
    assert back(fleet, X, there) == "A-cp313-2"


def test_without_a_record_each_host_knows_what_ran_before() -> None:
    assert back("", X, host_at("B-cp311-1")) == "A-cp311-1"
    assert back("half a rec", X, host_at("B-cp311-1")) == "A-cp311-1"
    assert record.bramble_doubt("", "hub", every("A")) == ""


def test_without_a_record_hosts_that_went_different_ways_are_asked_about() -> None:
    ways = {**every("B", X), **every("A", Y)}
    doubt = record.bramble_doubt("", "hub", ways)
    assert "/opt/bramble/fleet.json on hub is gone, and what ran before differs (A on y; B on x)" in doubt
    assert record.bramble_doubt(rolled_out("A"), "hub", ways) == ""


def test_only_who_is_elsewhere_or_runs_something_else_is_touched() -> None:
    there = host_at("B-cp311-1")
    assert record.bramble_behind(there, {"client": "B-cp311-1"}) == []
    assert record.bramble_behind(there, {"client": "A-cp311-1"}) == ["client"]
    for path, value in (("not_live", ["etc/bramble/client.toml"]), ("units", {"bramble-client.service": {"given": "dead"}})):
        other = copy.deepcopy(there)
        other["client"][path] = value
        assert record.bramble_behind(other, {"client": "B-cp311-1"}) == ["client"]
