"""The fleet's tests boot whole machines, as root: they run by ``make test-fleet``, and are not collected otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.api import Api
from tests.fleet.controller import MANUAL_DEPLOY, Controller, Play
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

BOOTS = os.environ.get("BRAMBLE_FLEET") == "1"
collect_ignore_glob = [] if BOOTS else ["test_*.py"]
CLIENTS = {"pi-1", "pi-2", "pi-3a", "pi-3b"}
"""Three hosts; the third runs two clients of the template."""

SENSORS = "".join(f'[[sensor]]\ndriver = "{driver}"\n' for driver in ("bme280", "bh1750"))
"""What pi-1 has: a sensor more than the others."""


FLEETS = ("first fleet", "second fleet")
SECOND = {
    "test_a_lock", "test_a_typed", "test_containers", "test_faults", "test_fleet", "test_identity", "test_mqtt", "test_other_python",
    "test_parts", "test_reset", "test_sandbox", "test_secure", "test_settings", "test_space", "test_trust", "test_variables",
    "test_without_readings", "test_y_older_fleet",
}  # fmt: skip
"""Whose tests run on a fleet of their own while the others run on the first, where there are two: each file takes a fleet as it finds it,
deployed and whole, so that any may move; what comes late by its name stays behind what it is to come after."""


SYSTEM = ("/var/lib/systemd/", "/var/lib/private ", "/etc/.pwd.lock", "/var/lib/apt/", "/var/lib/dpkg/")
"""What the system itself writes as it goes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hosts that boot and plays on a few shared cores meet deadlines all the time: each test is one that depends on the machine's load.

    Any may come first on its fleet, and then waits for the first deployment.
    """
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("load")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two processes have a fleet each, and each its files in their order."""
    from xdist.scheduler import LoadScopeScheduling  # with one process it is not needed

    class Halves(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            own = FLEETS[Path(nodeid.partition("::")[0]).stem in SECOND]
            return next((name for name in FLEETS if nodeid.endswith(f"[{name}]")), own)

    return Halves(config, log)


def pytest_report_header() -> str:
    return "fleet: booted hosts" if BOOTS else "fleet: tests/fleet is left out here; it boots machines as root: make test-fleet"


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """A hub for server and inspector, and three Pis: one runs Debian Trixie with Python 3.13, all others Bookworm with 3.11."""
    with Fleet(["hub", "pi-1", "pi-2", "pi-3"], {"pi-2": "trixie"}) as booted:
        yield booted


@pytest.fixture(scope="session")
def controller(fleet: Fleet) -> Controller:
    """The controller with its inventory: mock sensors, and heartbeats short enough to notice a cut link soon."""
    variables = {
        "server_mode": "evaluation",
        "client_sensors": "mock",
        "server_deadline": "60s",
        "server_settings": {"ping_interval": "2s", "ping_timeout": "15s"},
        "client_settings": {"reconnect_max": "2s"},
        "base_clock_wait_seconds": 5,
    }
    controller = Controller(fleet, variables)
    (controller.folder / "sensors.toml").write_text(SENSORS)
    controller.host_variables["pi-1"] |= {
        "client_sensors_file": str(controller.folder / "sensors.toml"), "client_gpio": True, "client_labels": ["empty", "occupied"],
        "client_train_between": ["00:00-12:00", "12:00-24:00"], "client_groups": {"building": "north"},
    }  # fmt: skip
    controller.host_variables["pi-3"]["client_instances"] = ["pi-3a", "pi-3b"]
    return controller


@pytest.fixture(scope="session")
def source(controller: Controller) -> Path:
    """The sources as they were when the tests began: somebody may go on editing."""
    source = controller.another_release("source", {})
    controller.set_up_by_the_manual(source)
    return source


def as_it_is(host: Host) -> set[str]:
    """Return what a deployment could leave on a host: files with owner and mode, users, groups, units, and what is enabled."""
    files = host.output("find /etc /opt /var/lib /usr/local -name '*-' -prune -o -printf '%p %y %m %u %g %l\n'")
    others = host.output("getent passwd; getent group; systemctl list-units --all --plain --no-legend '*bramble*' | cut -d' ' -f1")
    ours = host.output("ls -d /run/bramble /run/bramble-[!o]* /run/log/journal/*.bramble /var/log/journal/*.bramble 2>/dev/null || true")
    return {line for line in f"{files}\n{others}\n{ours}".splitlines() if line and not line.startswith(SYSTEM)}


@pytest.fixture(scope="session")
def untouched(fleet: Fleet) -> dict[str, set[str]]:
    """The hosts before the first deployment."""
    return {name: as_it_is(host) for name, host in fleet.hosts.items()}


@pytest.fixture(scope="session")
def first_play(controller: Controller, source: Path, untouched: dict[str, set[str]]) -> Play:
    """The first deployment, onto empty hosts, by the very command of the manual."""
    return controller.by_the_manual(MANUAL_DEPLOY, source).ok()


@pytest.fixture
def api(fleet: Fleet, first_play: Play) -> Api:
    """The server of a fleet that is deployed and whole."""
    api = Api(fleet.server)
    api.wait_for(CLIENTS, 90)
    return api


@pytest.fixture(scope="session")
def renewed(controller: Controller, source: Path, first_play: Play) -> Play:
    """One more play, by a controller whose secrets are lost: all identities made anew, the authority too. And private mode, which stays.

    Its gate saw fresh samples.
    """
    controller.variables.update(server_mode="private", server_allow_simulated=True, client_sample_every="2s")
    controller.secrets = controller.folder / "anew"
    return controller.answer("yes", "deploy.yml", source=source).ok()
