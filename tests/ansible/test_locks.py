"""The lock files against the project's own metadata: what a target needs is pinned, once, to a wheel that runs there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "ansible"))

from wheelhouse import locks  # noqa: E402
from wheelhouse.targets import COMPONENTS, EXTRAS, TARGETS, Target, find  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ALL = [(component, target) for component, targets in COMPONENTS.items() for target in targets]
everywhere = pytest.mark.parametrize(("component", "target"), ALL, ids=[f"{component}-{target.name}" for component, target in ALL])


def needed(component: str, target: Target) -> list[Requirement]:
    """Return the direct requirements whose markers hold on the target."""
    texts = PROJECT["dependencies"] + [text for extra in EXTRAS[component].split(",") for text in PROJECT["optional-dependencies"][extra]]
    found = [Requirement(text) for text in texts]
    return [item for item in found if item.marker is None or item.marker.evaluate({**target.markers, "extra": ""})]


@everywhere
def test_every_requirement_is_pinned_to_a_version_that_satisfies_it(component: str, target: Target) -> None:
    pinned = {canonicalize_name(wheel.name): wheel.version for wheel in locks.read(component, target)}
    for requirement in needed(component, target):
        name = canonicalize_name(requirement.name)
        if name in target.from_debian:
            assert name not in pinned
        else:
            assert requirement.specifier.contains(pinned[name]), f"{requirement} against {pinned[name]}"


@everywhere
def test_every_file_is_a_wheel_of_that_version_for_that_target(component: str, target: Target) -> None:
    seen = set()
    for wheel in locks.read(component, target):
        name, version, _, tags = parse_wheel_filename(wheel.file)
        assert (name, str(version)) == (canonicalize_name(wheel.name), wheel.version)
        assert name not in seen
        seen.add(name)
        assert any(tag.platform == "any" or tag.platform.endswith(target.machine) for tag in tags), wheel.file
        assert any(tag.interpreter.startswith("py") or tag.interpreter == target.python or tag.abi == "abi3" for tag in tags), wheel.file


@everywhere
def test_pip_comes_along_and_no_tensorflow_does(component: str, target: Target) -> None:
    names = {wheel.name for wheel in locks.read(component, target)}
    assert "pip" in names
    assert not any(name.startswith("tensorflow") or name == "keras" for name in names)


@pytest.mark.parametrize(("component", "target"), [(component, target) for component, target in ALL if not target.from_debian])
def test_what_a_64_bit_target_shares_with_the_tests_is_the_tested_version(component: str, target: Target) -> None:
    tested = dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8")))
    tested = {canonicalize_name(name): version for name, version in tested.items()}
    for wheel in locks.read(component, target):
        assert tested.get(canonicalize_name(wheel.name), wheel.version) == wheel.version


def test_a_32_bit_pi_gets_tflite_runtime_and_from_debian_what_has_no_wheels() -> None:
    names = {wheel.name for wheel in locks.read("client", find("client", "cp311-armv7l"))}
    assert "tflite-runtime" in names
    assert not names & {"ai-edge-litert", "numpy", "cryptography", "cffi"}


def test_a_lock_for_each_target_and_no_other() -> None:
    assert {path.name for path in locks.LOCKS.iterdir()} == {locks.path(component, target).name for component, target in ALL}
    assert len(TARGETS) == 5


def test_an_unknown_target_is_refused_by_what_there_is() -> None:
    with pytest.raises(ValueError, match="server does not run on cp311-armv7l; it runs on cp311-aarch64"):
        find("server", "cp311-armv7l")
    with pytest.raises(ValueError, match="no component 'cleint'; there are client"):
        find("cleint", "cp311-x86_64")


@pytest.mark.parametrize("line", ["numpy", "numpy==2.0", "numpy==2.0 --hash=sha256:12  # numpy.whl", "numpy>=2 --hash=sha256:" + "0" * 64])
def test_a_line_that_pins_nothing_is_named(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCKS", tmp_path)
    target = TARGETS[0]
    (tmp_path / f"client-{target.name}.txt").write_text(f"# head\n{line}\n")
    with pytest.raises(ValueError, match="line 2: expected NAME==VERSION"):
        locks.read("client", target)


def test_what_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCKS", tmp_path)
    wheels = [locks.Wheel("a-b", "1.0+x", "0" * 64, "a_b-1.0+x-py3-none-any.whl")]
    locks.write("client", TARGETS[-1], wheels)
    assert locks.read("client", TARGETS[-1]) == wheels
    assert "numpy comes from Debian" in locks.path("client", TARGETS[-1]).read_text()
