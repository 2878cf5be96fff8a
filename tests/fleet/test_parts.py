"""A deployment in parts, by its tags, with a port at which the hosts do not find what they look for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.wait import until

LIMIT = ("--limit", "localhost,hub,pi-1")


@pytest.fixture
def another_service(fleet: Fleet) -> Iterator[None]:
    """Somebody else's web server at the port where releases are served."""
    fleet.server.run("systemd-run --quiet --collect --unit=another python3 -m http.server 5001 --directory /run/lock")
    until(lambda: fleet.server.output("curl --silent http://10.77.0.10:5001/"), "it to answer")
    yield
    fleet.server.run("systemctl stop another")


@pytest.mark.timeout(900)
def test_install_brings_a_release_by_whatever_way_and_run_goes_live_with_it(
    controller: Controller, fleet: Fleet, api: Api, source: Path, another_service: None
) -> None:
    pi, settings = fleet["pi-1"], "cat /etc/bramble/client.toml"
    before = pi.output(settings)
    pi.run("rm -f /opt/bramble/client/releases/*/*.whl")  # with it, other settings need nothing to be sent
    given = {"client_sample_every": "4s", "client_ask_daily": 3}
    controller.host_variables["pi-1"].update(given)
    try:
        lacking = controller.deploy("--tags", "run", *LIMIT, source=source)
        assert lacking.failed == ["pi-1"]
        assert "pi-1 lacks its release: run this without --tags, or first with --tags install" in " ".join(lacking.output.split())
        install = controller.deploy("--tags", "install", *LIMIT, source=source).ok()
        assert "pi-1 cannot fetch from http://10.77.0.10:5001" in " ".join(install.output.split()), "the controller brings it instead"
        assert pi.output(settings) == before
        controller.deploy("--tags", "run", *LIMIT, source=source).ok()
    finally:
        for variable in given:
            del controller.host_variables["pi-1"][variable]
    assert {'sample_every = "4s"', "ask_daily = 3"} <= set(pi.output(settings).splitlines())
    api.wait_for(CLIENTS)
