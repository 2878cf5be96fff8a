"""The sdist and the wheel hold what they must and nothing else, and their metadata is what an index takes."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from trove_classifiers import classifiers

from bramble_server.store import migrate
from tests.packaging.conftest import ROOT, Repository, project_files, version

FOLDERS = {"bramble", "protocol", "server", "edge_client", "inspector"}
PACKAGES = {"bramble", "bramble_protocol", "bramble_server", "bramble_client", "bramble_inspector"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def one(released: Repository, pattern: str) -> Path:
    [path] = (released.folder / "dist").glob(pattern)
    return path


@pytest.fixture
def wheel(released: Repository) -> set[str]:
    with zipfile.ZipFile(one(released, "*.whl")) as archive:
        return set(archive.namelist())


@pytest.fixture
def metadata(released: Repository) -> Message:
    with zipfile.ZipFile(one(released, "*.whl")) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def packaged() -> set[str]:
    return {name for name in project_files() if name.split("/")[0] in FOLDERS}


def test_the_wheel_holds_the_packages_and_what_pip_needs(released: Repository, wheel: set[str]) -> None:
    info = f"bramble_fl-{version(released.folder)}.dist-info"
    extra = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    assert wheel == {name if name.startswith("bramble/") else name.partition("/")[2] for name in packaged()} | extra


def test_the_sdist_holds_what_the_wheel_is_built_from(released: Repository) -> None:
    folder = f"bramble_fl-{version(released.folder)}"
    with tarfile.open(one(released, "*.tar.gz")) as archive:
        files = {member.name.removeprefix(f"{folder}/") for member in archive.getmembers() if member.isfile()}
    assert files == packaged() | {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}


def test_whoever_installs_the_wheel_has_what_they_write_checked_against_its_types(released: Repository, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    [installed] = (tmp_path / "venv/lib").glob("python*/site-packages")
    with zipfile.ZipFile(one(released, "*.whl")) as archive:
        archive.extractall(installed)
    (installed / "others.pth").write_text(sysconfig.get_path("purelib"))
    wrong = "\n".join(f"import {package}\n{package}.__name__ = 1" for package in sorted(PACKAGES))
    (tmp_path / "theirs.py").write_text(f"{wrong}\nfrom bramble import Server\nServer(5000)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", "venv/bin/python", "--cache-dir", "cache", "theirs.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    codes = re.findall(r"theirs.py:(\d+): error: .*\[(.+)\]", done.stdout)
    assert codes == [*((str(2 * line), "assignment") for line in range(1, len(PACKAGES) + 1)), ("12", "arg-type")], done.stdout


def test_a_server_of_the_wheel_makes_its_database(released: Repository, tmp_path: Path) -> None:
    with zipfile.ZipFile(one(released, "*.whl")) as archive:
        archive.extractall(tmp_path / "wheel")
    program = (
        "from pathlib import Path; import bramble_server.store as store; store.Store(Path('bramble.db')).close(); "
        "print(store.__file__, store.migrate.newest())"
    )
    env = {"PYTHONPATH": str(tmp_path / "wheel")}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert done.stdout == f"{tmp_path / 'wheel/bramble_server/store/__init__.py'} {migrate.newest()}\n"


def test_only_names_that_say_bramble_land_among_everybody_elses(wheel: set[str]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {*PACKAGES, next(name for name in wheel if ".dist-info" in name).partition("/")[0]}
    assert all(name.startswith("bramble") for name in wheel)


def test_every_package_says_that_it_is_typed(wheel: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel


def test_an_index_knows_every_classifier(metadata: Message) -> None:
    found = metadata.get_all("Classifier", [])
    assert found
    assert not set(found) - classifiers


def test_the_pythons_that_are_named_are_those_that_are_tested(metadata: Message) -> None:
    named = {name.rpartition(" ")[2] for name in metadata.get_all("Classifier", []) if re.search(r":: 3\.\d+$", name)}
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    tested = {row["python"] for job in jobs.values() for row in job["strategy"]["matrix"]["include"]}
    assert named == tested
    assert metadata["Requires-Python"] == f">={min(named, key=lambda text: int(text.partition('.')[2]))}"


def test_the_metadata_says_who_what_and_under_which_terms(metadata: Message) -> None:
    assert metadata["Author"] == PROJECT["authors"][0]["name"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Summary"]
    assert metadata["Keywords"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "# Bramble" in metadata.get_payload()
