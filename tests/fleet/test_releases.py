"""Releases: a bad one undoes itself, a good one costs no round, and there is always a way back."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.wait import until

RUN = "def run(settings: ClientSettings) -> int:"
AGENT, CLIENT = "edge_client/bramble_client/agent.py", "edge_client/bramble_client/commands/run.py"
BROKEN = "\n    if os.uname().nodename == 'pi-2':\n        raise SystemExit(9)"
CLIENT_BROKEN = {CLIENT: (RUN, f"import os\n\n\n{RUN}{BROKEN}")}
"""On one host alone."""
TRAINING = "        rest = None if self._rehearsing else "
TRAINING_BROKEN = {
    AGENT: (
        TRAINING,
        f"        if not self._rehearsing:\n            raise ZeroDivisionError('broken')\n{TRAINING}",
    )
}
"""In rounds it cannot train any more, which its own check does not see."""
COMMIT = "        aggregate, pooled = open_round.aggregate("
SERVER_BROKEN = {"server/bramble_server/rounds/commits.py": (COMMIT, f"        raise ZeroDivisionError('broken')\n{COMMIT}")}
BETTER = {"bramble/__init__.py": ('"""', '"""A better release. ')}


def versions(api: Api) -> dict[str, str]:
    return {name: client["version"] for name, client in api.get("/clients")["clients"].items() if client["connected"]}


@pytest.mark.timeout(900)
def test_a_broken_client_rolls_back_by_itself_and_stops_the_roll_out(controller: Controller, fleet: Fleet, api: Api, source: Path) -> None:
    before, server = versions(api), api.status()["version"]
    broken = controller.another_release("broken", CLIENT_BROKEN, source)
    play = controller.deploy(source=broken)
    assert play.code != 0
    assert play.failed == ["pi-2"], "the roll-out went on after a client failed"
    assert re.search(rf"release {re.escape(before['pi-2'])}-\S+ runs again", " ".join(play.output.split()))
    api.wait_for(CLIENTS)
    new = api.status()["version"]
    assert new != server, "the server itself was fine, and stays at its new release"
    assert versions(api) == {**before, "pi-1": new}, "the first did well with it, and the last was not touched"
    api.generate()
    assert api.trained(api.round()["round"]) == CLIENTS
    there = fleet["pi-2"].output("cd /opt/bramble/client && readlink current && ls releases/*/.complete")
    assert f"/{before['pi-2']}-" in there.splitlines()[0]
    assert new not in there, "the broken one is there for nobody to switch to"


@pytest.mark.timeout(900)
def test_after_a_roll_out_that_was_stopped_everybody_is_where_the_fleet_was_and_nobody_else_is_touched(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    units = [(fleet["pi-2"], "bramble-client"), (fleet["pi-3"], "bramble-client@pi-3a")]
    pids, old = [host.unit_pid(unit) for host, unit in units], versions(api)["pi-2"]
    assert versions(api)["pi-1"] == api.status()["version"] != old, "the test before left it so"
    play = controller.play("rollback.yml", source=source).ok()
    assert [play.changed[name] for name in ("pi-2", "pi-3")] == [0, 0]
    api.wait_for(CLIENTS)
    assert {api.status()["version"], *versions(api).values()} == {old}
    assert [host.unit_pid(unit) for host, unit in units] == pids


@pytest.mark.timeout(900)
def test_settings_that_make_two_clients_of_one_go_back_with_their_release_by_themselves_and_by_the_play(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    """First with a proxy by which they reach nobody. The only client's unit is another than that of several."""
    pi, limit = fleet["pi-2"], ("--limit", "localhost,hub,pi-2")

    def alone() -> str:
        units = pi.output("systemctl is-enabled bramble-client; systemctl list-units --plain --no-legend 'bramble-client*' | cut -d' ' -f1")
        there = pi.output("readlink /opt/bramble/client/current; cat /etc/bramble/client.toml; /opt/bramble/given bramble-client.service")
        return f"{units}\n{there}"

    before, one = alone(), controller.host_variables["pi-2"]
    two = {**one, "client_instances": ["pi-2", "pi-2b"]}
    assert before.startswith("enabled\nbramble-client.service\n")
    assert before.endswith("\nsame")
    try:
        controller.host_variables["pi-2"] = {**two, "client_settings": {"proxy": "http://127.0.0.1:9"}}
        play = controller.deploy(*limit, source=source)
        assert play.failed == ["pi-2"]
        assert "client-pi-2b.toml" in play.output
        assert alone() == before
        controller.host_variables["pi-2"] = two
        controller.deploy(*limit, source=source).ok()
        api.wait_for({*CLIENTS, "pi-2b"})
        controller.play("rollback.yml", source=source).ok()
        assert alone() == before
    finally:
        controller.host_variables["pi-2"] = one
    api.wait_for(CLIENTS)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "edits", "hosts", "host", "sentence"),
    [
        (
            "untrained",
            TRAINING_BROKEN,
            "localhost,hub,pi-1,pi-3",
            "pi-1",
            "the server says of pi-1: round [0-9]+: ZeroDivisionError: broken",
        ),
        ("uncommitted", SERVER_BROKEN, "localhost,hub", "hub", "round [0-9]+ was abandoned: the server failed to commit it"),
    ],
    ids=["a client that fails in its next round", "a server that commits none"],
)
def test_a_release_with_which_the_fleet_does_not_learn_goes_back_before_a_second_host_has_it(
    controller: Controller, api: Api, source: Path, name: str, edits: dict[str, tuple[str, str]], hosts: str, host: str, sentence: str
) -> None:
    before = versions(api)
    api.generate()
    play = controller.deploy("--limit", hosts, source=controller.another_release(name, edits, source))
    assert play.failed == [host]
    assert re.search(sentence, " ".join(play.output.split())), play.output[-3000:]
    api.wait_for(CLIENTS)
    assert versions(api) == before
    assert api.trained(api.round()["round"]) == CLIENTS, "and it learns on"


@pytest.mark.timeout(900)
def test_an_upgrade_while_rounds_go_on_loses_none_of_them_and_no_reading(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    api.generate()
    count = "sum(sqlite3.connect(p).execute('SELECT COUNT(*) FROM samples').fetchone()[0] for p in paths)"
    paths = "glob.glob('/var/lib/bramble-client/**/readings.db', recursive=True)"
    samples = f'python3 -c "import sqlite3, glob; paths = {paths}; print({count})"'
    kept = {pi.name: int(pi.output(samples)) for pi in fleet.clients}
    records, stop, former = [], threading.Event(), api.status()["version"]

    def go_on() -> None:
        """Rounds from the moment at which the new server has its clients back; theirs is still the release before."""
        until(lambda: stop.is_set() or (api.status()["version"] != former and api.connected() == CLIENTS), "the new server", 300)
        while not stop.wait(0.5):  # the hosts share two cores with what they are served by
            records.append(api.round())

    better = controller.another_release("better", BETTER, source)
    rounds = threading.Thread(target=go_on)
    rounds.start()
    try:
        controller.deploy(source=better).ok()
    finally:
        stop.set()
        rounds.join()
    assert set(versions(api).values()) == {api.status()["version"]}
    assert len(records) >= 3
    assert {record["state"] for record in records} == {"committed"}, [record for record in records if record["state"] != "committed"]
    # Each client restarts once: it misses the rounds that began or ran while it was away, which follow one another, and no other.
    for client in CLIENTS:
        # the play's own among them, with which it sees each batch through a round
        missed = [number for number in range(records[0]["round"], records[-1]["round"] + 1) if client not in api.trained(number)]
        reasons = [api.get(f"/rounds/{number}")["clients"].get(client) for number in missed]
        assert all(later - earlier == 1 for earlier, later in itertools.pairwise(missed)), f"{client} missed {missed}: {reasons}"
    assert {pi.name: int(pi.output(samples)) for pi in fleet.clients} == kept


@pytest.mark.timeout(900)
def test_the_release_before_is_one_playbook_away(controller: Controller, fleet: Fleet, api: Api, source: Path) -> None:
    """A host that has lost that release stays and is named; without the fleet's record a host goes to what ran there before.

    One where that release does not do well stays too, and may try again: a rollback cannot bring it anew.
    """
    before, lost = versions(api), fleet["pi-2"].output("readlink -f /opt/bramble/client/previous")
    fleet["pi-2"].run(f"mv {lost} /root/lost")
    try:
        play = controller.play("rollback.yml", "--limit", "clients", source=source)
    finally:
        fleet["pi-2"].run(f"mv /root/lost {lost}")
    assert play.failed == ["pi-2"]
    assert f"pi-2 has no release {Path(lost).name} of the client to roll back to: it has " in " ".join(play.output.split())
    api.wait_for(CLIENTS)
    after = versions(api)
    assert {name for name in CLIENTS if after[name] == before[name]} == {"pi-2"}
    fleet.server.run("rm /opt/bramble/fleet.json")
    program = fleet["pi-1"].output("readlink -f /opt/bramble/client/previous") + "/bin/bramble"
    fleet["pi-1"].run(f"mv {program} {program}.away")
    play = controller.play("rollback.yml", "--limit", "pi-1", source=source)
    fleet["pi-1"].run(f"mv {program}.away {program}")
    assert play.failed == ["pi-1"]
    assert f"release {after['pi-1']}" in " ".join(play.output.split()), "which runs again"
    controller.play("rollback.yml", "--limit", "pi-1", source=source).ok()
    api.wait_for(CLIENTS)
    assert versions(api) == {**after, "pi-1": before["pi-1"]}, "once more, and it is as it was"


@pytest.mark.timeout(300)
def test_a_release_that_is_not_there_is_refused_by_name(controller: Controller, api: Api, source: Path) -> None:
    play = controller.play("rollback.yml", "--limit", "pi-1", "-e", "release_version=9.9.9", source=source)
    assert play.code != 0
    assert "pi-1 has no release 9.9.9 of the client to roll back to" in " ".join(play.output.split())


def test_three_releases_stay_and_the_running_one_is_among_them(fleet: Fleet, api: Api) -> None:
    for pi in fleet.clients:
        releases = pi.output("ls /opt/bramble/client/releases").split()
        assert 2 <= len(releases) <= 3
        assert Path(pi.output("readlink /opt/bramble/client/current")).name in releases
