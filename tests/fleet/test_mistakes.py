"""What a person gets wrong: a sentence that names it, nothing half done, the others served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller, Play
from tests.fleet.fleet import Fleet
from tests.fleet.wait import until


def said(play: Play) -> str:
    return " ".join(play.output.split())


def refused(controller: Controller, source: Path, **variables: Any) -> Play:
    play = controller.deploy("-e", json.dumps(variables), source=source)
    assert play.code != 0
    return play


def test_a_host_whose_clock_is_off_is_refused_with_the_remedy(controller: Controller, source: Path, api: Api) -> None:
    play = refused(controller, source, preflight_clock_seconds=-1)
    assert "off the controller's: set it" in said(play)
    assert "nothing was changed on any host" in said(play) or "Build the release" not in play.output
    api.wait_for(CLIENTS)


@pytest.mark.timeout(600)
def test_a_host_that_is_unreachable_or_has_no_pins_does_not_keep_the_others_from_being_served(
    controller: Controller, source: Path, fleet: Fleet, api: Api
) -> None:
    fleet.cut(fleet["pi-2"])
    controller.host_variables["pi-1"]["client_sensors"] = "linux"
    try:
        play = controller.deploy(source=source)
    finally:
        fleet.restore(fleet["pi-2"])
        del controller.host_variables["pi-1"]["client_sensors"]
    assert play.failed == ["pi-1", "pi-2"]
    assert "pi-1 has no python3-lgpio" in said(play)
    assert play.changed["pi-3"] == 0
    assert '"pi-2" = "sha256:' in fleet.server.output("cat /etc/bramble/tokens.toml"), "whoever is down for the moment keeps its place"
    api.wait_for(CLIENTS)


@pytest.mark.timeout(900)
def test_a_host_that_vanishes_in_the_middle_costs_the_others_nothing_and_the_next_run_mends_it(
    controller: Controller, source: Path, fleet: Fleet, api: Api
) -> None:
    """It is switched off between the installation of its release and its turn, which would be the first."""
    pi, log = fleet["pi-2"], fleet.folder / "plays.log"
    before = len(log.read_text())
    for name in ("pi-2", "pi-3"):
        controller.host_variables[name]["client_sample_every"] = "7s"
    try:
        try:
            with controller.begun("deploy.yml", source=source) as play:
                until(lambda: "PLAY [See that all is there" in log.read_text()[before:] or play.poll() is not None, "its release", 400)
                pi.power_cut()
                assert play.wait(600) != 0
        finally:
            pi.boot()
            pi.reachable()
        assert "pi-2 was there at the begin and then did not answer any more" in " ".join(log.read_text()[before:].split())
        assert 'sample_every = "7s"' in fleet["pi-3"].output("cat /etc/bramble/client-pi-3a.toml")
        assert controller.deploy(source=source).ok().changed["pi-3"] == 0
        assert 'sample_every = "7s"' in pi.output("cat /etc/bramble/client.toml")
    finally:
        for name in ("pi-2", "pi-3"):
            del controller.host_variables[name]["client_sample_every"]
    api.wait_for(CLIENTS)


@pytest.mark.timeout(600)
def test_an_unsupported_system_and_a_host_without_a_bus_are_left_out(controller: Controller, source: Path, fleet: Fleet, api: Api) -> None:
    pi, former = fleet["pi-2"], dict(controller.host_variables["pi-1"])
    controller.host_variables["pi-1"] |= {"client_sensors": "linux", "client_gpio": False}
    pi.run("cp --dereference /etc/os-release /etc/debian_version /root/ && echo 11.9 >/etc/debian_version")
    pi.run("sed -i --follow-symlinks 's/^VERSION_ID=.*/VERSION_ID=11/; s/^VERSION_CODENAME=.*/VERSION_CODENAME=bullseye/' /etc/os-release")
    try:
        play = controller.deploy("--limit", "localhost,hub,pi-1,pi-2", source=source)
    finally:
        pi.run("cp /root/os-release /root/debian_version /etc/")
        controller.host_variables["pi-1"] = former
    assert play.failed == ["pi-1", "pi-2"]
    assert "pi-1 has no /dev/i2c-1: add dtparam=i2c_arm=on to /boot/firmware/config.txt" in said(play)
    assert "pi-2 runs Debian 11" in said(play)
    assert "flash it with one of them" in said(play)
    api.wait_for(CLIENTS)


def test_a_wrong_vault_password_is_said_to_be_one(controller: Controller, source: Path, api: Api, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong\n")
    play = controller.play("deploy.yml", source=source, password=tmp_path / "wrong")
    assert play.code != 0
    assert "does not open with this vault password" in said(play)
    api.wait_for(CLIENTS)


@pytest.mark.timeout(600)
def test_two_operators_do_not_play_at_once_and_a_crashed_one_leaves_no_lock(
    controller: Controller, source: Path, fleet: Fleet, api: Api
) -> None:
    lock = "cat /run/bramble-operator"
    until(lambda: not fleet.server.output(lock), "the play before to give it back", 30)
    with controller.begun("deploy.yml", source=source) as first:
        until(lambda: fleet.server.output(lock), "the first to hold the lock", 120)
        # Another computer, by its name.
        second = controller.play(
            "rollback.yml", source=source, wrapper=["unshare", "--uts", "sh", "-c", 'hostname laptop-2; exec "$@"', "sh"]
        )
        first.kill()
    assert second.code != 0
    assert "Somebody plays on this fleet already: root on" in said(second)
    assert "(deploy.yml). Nothing was changed; run this again when that is over." in said(second)
    assert second.changed == {"localhost": 0}
    assert controller.deploy("--limit", "localhost,hub", source=source).ok().changed["hub"] == 0
    until(lambda: not fleet.server.output(lock), "the lock to be given back", 30)
