"""A fleet of release 0.1 in private mode is upgraded while it learns. Late by its name, for it begins with hosts wiped clean."""

from __future__ import annotations

import json
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import ROOT, Controller
from tests.fleet.fleet import Fleet
from tests.fleet.wait import until

RELEASE_0_1 = "a2f909e"
OWN = "/etc/bramble/own.tflite"
WIPE = (
    "systemctl disable --now --quiet 'bramble-*' 2>/dev/null; rm -rf /etc/systemd/system/bramble-* /etc/bramble/[!m]* /var/lib/bramble-* "
    "/var/lib/private/bramble-* /opt/bramble/fleet.json /opt/bramble/*/current /opt/bramble/*/previous; systemctl daemon-reload; "
    "systemctl reset-failed; mkdir -p /etc/bramble"
)


@pytest.fixture(scope="module")
def release_0_1(fleet: Fleet) -> Path:
    """Its sources, with the play of its day."""
    folder = fleet.folder / "release-0.1"
    folder.mkdir()
    archive = subprocess.run(["git", "archive", RELEASE_0_1], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip(f"this clone does not reach back to release 0.1 ({RELEASE_0_1})")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def own_graph(fleet: Fleet) -> Path:
    """The climate task by the second: a private fleet would wait a day for its first hourly window."""
    path, built_in = fleet.folder / "own.tflite", ROOT / "server/bramble_server/tasks/climate.tflite"
    with zipfile.ZipFile(built_in) as packed:
        files = {item.filename: packed.read(item) for item in packed.infolist()}
        flatbuffer = built_in.read_bytes()[: min(item.header_offset for item in packed.infolist())]
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as packed:
        for name, content in files.items():
            packed.writestr(name, json.dumps({**json.loads(content), "step_s": 1.0}) if name.endswith(".json") else content)
    return path


@pytest.mark.timeout(900)
def test_a_private_fleet_of_release_0_1_is_upgraded_and_loses_no_round(
    controller: Controller, fleet: Fleet, source: Path, release_0_1: Path, own_graph: Path
) -> None:
    for host in fleet.hosts.values():
        host.run(WIPE)
    fleet.server.run(f"cat >{OWN}", stdin=own_graph.read_bytes())
    controller.variables.update(server_mode="private", server_allow_simulated=True, server_min_updates=2, client_sample_every="0.5s")
    controller.variables["server_task"] = OWN
    controller.variables.pop("server_graph", None)  # left by a first try; release 0.1 knows nothing of it either
    # Release 0.1 knows nothing of these.
    clock = controller.variables.pop("base_clock_wait_seconds")
    newer = {name: controller.host_variables["pi-1"].pop(name) for name in ("client_train_between", "client_groups")}
    zone, controller.zone = controller.zone, "UTC"  # release 0.1 takes a controller's own time for that
    try:
        controller.deploy(source=release_0_1).ok()
    finally:
        controller.zone = zone
        controller.variables["base_clock_wait_seconds"] = clock
        controller.host_variables["pi-1"] |= newer
    api, records, stop = Api(fleet.server), [], threading.Event()
    api.wait_for(CLIENTS, 90)
    former = api.status()["version"]
    until(lambda: api.trained(api.round()["round"]) == CLIENTS, "everybody's first round", 120, every=3)

    def go_on() -> None:
        until(lambda: stop.is_set() or (api.status()["version"] != former and api.connected() == CLIENTS), "the new server", 300)
        while not stop.wait(0.5):
            records.append(api.round())

    rounds = threading.Thread(target=go_on)
    rounds.start()
    del controller.variables["server_task"]
    controller.variables["server_graph"] = str(own_graph)
    try:
        controller.deploy(source=source).ok()
    finally:
        stop.set()
        rounds.join()
    assert len(records) >= 3
    assert {record["state"] for record in records} == {"committed"}, [record for record in records if record["state"] != "committed"]
    trained = [api.trained(record["round"]) for record in records]
    assert CLIENTS in trained[:3], "clients of release 0.1 go on beside the new server"
    api.wait_for(CLIENTS, 90)
    versions = {client["version"] for client in api.get("/clients")["clients"].values()}
    assert versions == {api.status()["version"]} != {former}
    assert api.trained(api.round()["round"]) == CLIENTS, "the play signed the graph, and every client had the key"
    before = json.loads(fleet.server.output("cat /opt/bramble/fleet.json"))["before"]
    assert {release for host in before.values() for release in host.values()} == {former}, "a rollback knows where to"


def test_every_client_had_the_key_before_anything_was_upgraded(fleet: Fleet) -> None:
    switched = int(fleet.server.output("stat --format=%Y /etc/bramble/graph.tflite.sig"))
    for pi in fleet.clients:
        assert int(pi.output("stat --format=%Y /etc/bramble/graphs.pub")) <= switched
        assert pi.output("grep -c ^ed25519: /etc/bramble/graphs.pub") == "1"


def test_a_graph_that_nobody_signed_is_run_by_none_of_them(fleet: Fleet) -> None:
    api = Api(fleet.server)
    fleet.server.run("mv /etc/bramble/graph.tflite.sig /root; systemctl restart bramble-server")
    try:
        api.wait_for(CLIENTS, 90)
        for pi in fleet.clients:
            pi.run("systemctl restart 'bramble-client*'")
        until(lambda: "nobody signed it; not run" in str(api.round()["clients"]), "clients to refuse", 60)
        reasons = {name: part["reason"] or "" for name, part in api.round()["clients"].items()}
        assert all("not run" in reasons[name] for name in CLIENTS), reasons
    finally:
        fleet.server.run("mv /root/graph.tflite.sig /etc/bramble; systemctl restart bramble-server")
    api.wait_for(CLIENTS, 90)
    until(lambda: api.trained(api.round()["round"]) == CLIENTS, "everybody's round", 60)
