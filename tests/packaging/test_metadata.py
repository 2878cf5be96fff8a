"""Which runtime a machine gets is decided by environment markers; this table is what was found to have wheels."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def wanted(extra: str, machine: str, python: str) -> dict[str, Requirement]:
    told = {name: str(value) for name, value in default_environment().items()}
    environment = {**told, "platform_machine": machine, "python_version": python, "sys_platform": "linux"}
    requirements = [Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS[extra]]]
    chosen: dict[str, Requirement] = {}
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            specifier = requirement.specifier & chosen[requirement.name].specifier if requirement.name in chosen else requirement.specifier
            requirement.specifier = specifier
            chosen[requirement.name] = requirement
    return chosen


@pytest.mark.parametrize(
    ("machine", "python", "runtime", "numpy"),
    [
        ("aarch64", "3.11", "ai-edge-litert", "2.4.6"),
        ("aarch64", "3.13", "ai-edge-litert", "2.4.6"),
        ("x86_64", "3.11", "ai-edge-litert", "2.4.6"),
        ("x86_64", "3.12", "ai-edge-litert", "2.4.6"),
        ("x86_64", "3.13", "ai-edge-litert", "2.4.6"),
        ("armv7l", "3.11", "tflite-runtime", "1.26.4"),
        ("armv8l", "3.11", "tflite-runtime", "1.26.4"),
    ],
)
def test_each_target_gets_the_one_runtime_that_has_wheels_there(machine: str, python: str, runtime: str, numpy: str) -> None:
    requirements = wanted("client", machine, python)
    assert {"ai-edge-litert", "tflite-runtime"} & set(requirements) == {runtime}
    assert Version(numpy) in requirements["numpy"].specifier


@pytest.mark.parametrize("machine", ["armv7l", "armv8l"])
def test_the_older_runtime_never_meets_numpy_2(machine: str) -> None:
    assert Version("2.0.0") not in wanted("client", machine, "3.11")["numpy"].specifier


@pytest.mark.parametrize("extra", ["server", "client", "gpio", "inspector"])
def test_only_authoring_brings_tensorflow(extra: str) -> None:
    assert not {name for name in wanted(extra, "x86_64", "3.11") if name.startswith("tensorflow")}
    assert "tensorflow-cpu" in wanted("authoring", "x86_64", "3.11")
    assert "tensorflow" in wanted("authoring", "aarch64", "3.11")


def test_a_pi_gets_nothing_that_only_the_server_or_the_inspector_needs() -> None:
    assert not {"flask", "gevent", "sqlalchemy", "dash", "plotly"} & set(wanted("client", "aarch64", "3.11"))


@pytest.mark.parametrize(
    ("extra", "name", "floor"),
    [
        ("server", "python-socketio", "5.16.2"),
        ("client", "python-socketio", "5.16.2"),
        ("server", "python-engineio", "4.13.2"),
        ("client", "python-engineio", "4.13.2"),
        ("server", "flask-socketio", "5.6.1"),
        ("inspector", "dash", "4.4.1"),
    ],
)
def test_versions_with_known_holes_are_shut_out(extra: str, name: str, floor: str) -> None:
    specifier = wanted(extra, "x86_64", "3.11")[name].specifier
    assert Version(floor) in specifier
    assert Version(re.sub(r"\d+$", lambda last: str(int(last[0]) - 1), floor)) not in specifier


@pytest.mark.parametrize(
    "name",
    ["constraints.txt", "constraints-tflite.txt", "constraints-authoring.txt", "constraints-accounting.txt", "constraints-mlflow.txt"],
)
def test_pins_are_exact_and_name_no_registry(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert lines
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ?; .+)?", line)]


def test_the_pins_satisfy_the_metadata() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for extra in ("server", "client", "gpio", "inspector", "dev"):
        for name, requirement in wanted(extra, "x86_64", "3.11").items():
            if name != "bramble-fl":
                assert Version(pins[name.lower()]) in requirement.specifier, name
