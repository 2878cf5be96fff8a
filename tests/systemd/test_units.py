"""The units as systemd itself judges them: nothing misspelt, and hardened as far as promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
EXPOSURE = {"bramble-client.service": 1.9, "bramble-client@.service": 1.9, "bramble-server.service": 1.2, "bramble-inspector.service": 1.2}
DENIED = "~@privileged @resources @keyring memfd_create process_vm_readv process_vm_writev io_uring_setup io_uring_enter io_uring_register"
MOCK = UNITS[0].parent / "bramble-client.service.d/mock.conf"
COMMAND = re.compile(r"^ExecStart=/opt/bramble/(\w+)/current/bin/bramble", re.MULTILINE)

# Only a missing systemd may skip these, and not in continuous integration.
pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and "CI" not in os.environ,
    reason="systemd-analyze is not installed (Debian: apt install systemd)",
)


def verify(text: str, name: str, folder: Path) -> str:
    """Return what ``systemd-analyze verify`` has to say, which exits 0 on an unknown key. Bramble itself need not be installed."""
    unit = folder / name.replace("@.", "@one.")
    unit.write_text(COMMAND.sub(f"ExecStart={sys.executable} -m bramble", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    return done.stderr + (f"exit {done.returncode}" if done.returncode else "")


def exposure(unit: Path) -> float:
    """Return how exposed a unit is, of 10."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def service(unit: Path) -> dict[str, list[str]]:
    """Read a unit's [Service] section: key -> values, for a key may come more than once."""
    values: dict[str, list[str]] = {}
    section = unit.read_text().split("[Service]")[1].split("[Install]")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, value = line.split("=", 1)
            values.setdefault(key, []).append(value)
    return values


def test_there_is_a_limit_for_every_unit() -> None:
    assert {unit.name for unit in UNITS} == set(EXPOSURE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_to_complain_about(unit: Path, tmp_path: Path) -> None:
    assert verify(unit.read_text(), unit.name, tmp_path) == ""


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "client" in unit.name], ids=lambda unit: unit.name)
def test_a_mock_client_has_neither_groups_nor_devices(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text().split("[Install]")[0] + MOCK.read_text()
    assert verify(text, unit.name, tmp_path) == ""
    assert exposure(tmp_path / unit.name.replace("@.", "@one.")) <= 1.5


@pytest.mark.parametrize(
    ("mistake", "named"), [("ProtectHomme=yes", "ProtectHomme"), ("WatchdogSec=soon", "soon"), ("User=no body", "no body")]
)
def test_the_check_sees_a_mistake(mistake: str, named: str, tmp_path: Path) -> None:
    unit = UNITS[0]
    assert named in verify(unit.read_text().replace("[Install]", f"{mistake}\n[Install]"), unit.name, tmp_path)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_exposure_stays_within_its_limit(unit: Path) -> None:
    assert exposure(unit) <= EXPOSURE[unit.name]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_watched_restarted_and_stopped_in_time(unit: Path) -> None:
    values = service(unit)
    assert values["Type"] == ["notify"]
    assert values["Restart"] == ["always"]
    assert int(values["RestartSec"][0]) >= 10  # for ever, and calm: on the slowest Pi a start takes five seconds
    assert "StartLimitIntervalSec=0\n" in unit.read_text()
    assert int(values["WatchdogSec"][0]) >= 30
    assert int(values["TimeoutStopSec"][0]) >= 10  # every command ends within 5 s


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_has_a_limit_for_whatever_it_could_take(unit: Path) -> None:
    values = service(unit)
    assert {"TasksMax", "MemoryMax", "LimitDATA", "LimitCORE", "OOMScoreAdjust", "LogNamespace"} <= set(values)
    (state,) = values["StateDirectory"]
    folders = " ".join([f"%S/{state}", *(f"%t/{name}" for name in values.get("RuntimeDirectory", ()))])
    assert values["NoExecPaths"] == [f"/tmp /var/tmp {folders}"], "every folder that it may write to"
    assert values["ReadOnlyPaths"] == ["/tmp /var/tmp"]
    # a client says in it what it forecasts, for others to read
    assert values.get("RuntimeDirectory") == ([state] if "client" in unit.name else None)
    assert DENIED in values["SystemCallFilter"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_secret_is_an_argument_or_an_environment_variable(unit: Path) -> None:
    values = service(unit)
    text = " ".join(values["ExecStart"] + values.get("Environment", []))
    assert not re.search(r"--token(?!-file)|TOKEN=|--tls-key|PASSWORD", text)
    assert all(value.startswith("token:/etc/bramble/") for value in values.get("LoadCredential", []))


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "client" in unit.name], ids=lambda unit: unit.name)
def test_a_client_reaches_its_sensors(unit: Path) -> None:
    values = service(unit)
    assert "PrivateDevices" not in values  # would hide /dev/i2c-1
    assert "PrivateUsers" not in values  # would turn the group i2c into nobody
    assert "ProcSubset" not in values  # would hide /proc/device-tree from gpiozero
    assert values["SupplementaryGroups"] == ["i2c gpio"]
    assert values["DeviceAllow"] == ["char-i2c rw", "char-gpiochip rw"]


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "client" in unit.name], ids=lambda unit: unit.name)
def test_a_client_may_ask_whether_the_clock_is_synchronised_and_not_set_it(unit: Path) -> None:
    values = service(unit)
    assert values["ProtectClock"] == ["no"]
    # what is allowed after what is denied: in the other order @privileged, which has @clock in it, would take it away again
    assert values["SystemCallFilter"] == ["@system-service", DENIED, "adjtimex clock_adjtime clock_adjtime64"]
    assert values["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in values


def test_the_template_differs_from_the_client_only_where_its_name_stands() -> None:
    folder = UNITS[0].parent
    one, template = (folder / "bramble-client.service").read_text(), (folder / "bramble-client@.service").read_text()
    named = template.replace("/etc/bramble/client-%i.", "/etc/bramble/client.").replace("bramble-client/%i", "bramble-client")
    # One user for the client of a host, one for each of many, and those pass through a folder that may have been the one's.
    own = ("Description=", "User=", "Group=", "DynamicUser=", "ExecStartPre=-+/bin/chmod a+x %S/bramble-client", "#")
    alike = [[line for line in text.splitlines() if line and not line.startswith(own)] for text in (one, named)]
    assert alike[0] == alike[1]
