"""One release of the files as they are, made as `make release` makes it, for every test that looks at one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Repository:
    """A git repository with the project's files in it."""

    folder: Path

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("-c", "commit.gpgsign=false", "commit", "--quiet", "--allow-empty", "--message", "Everything")

    def release(self, *flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.release", *flags]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def describe(self, version: str) -> None:
        """Give the changelog an entry for a version, as somebody does who releases it."""
        path = self.folder / "CHANGELOG.md"
        text = re.sub(rf"^## \[{re.escape(version)}\].*\n", "", path.read_text("utf-8"), flags=re.M)
        path.write_text(text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - 2030-01-31\n", 1), "utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Repository:
    """What a release is decided by, and nothing that could be built."""
    for name in ("pyproject.toml", "CHANGELOG.md", ".gitignore", "deploy/__init__.py", "deploy/release.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return _begin(tmp_path)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """All files, released, in a folder in which somebody has worked before."""
    folder = tmp_path_factory.mktemp("released")
    for name in project_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    repository = _begin(folder)
    repository.describe(version(folder))
    repository.commit()
    for name in (
        "build/lib/gone.py",
        "server/bramble_server/__pycache__/gone.cpython-311.pyc",
        "edge_client/bramble_client/.cache/gone.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("left of an earlier build")
    done = repository.release("--tag")
    assert done.returncode == 0, done.stdout + done.stderr
    return repository


def project_files() -> list[str]:
    """Every file that git knows or would take, as it is now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def version(folder: Path) -> str:
    found = re.search(r'^version = "(.+)"$', (folder / "pyproject.toml").read_text("utf-8"), re.M)
    assert found
    return found[1]


def _begin(folder: Path) -> Repository:
    repository = Repository(folder)
    repository.git("init", "--quiet")
    repository.git("config", "user.name", "A maintainer")
    repository.git("config", "user.email", "maintainer@example.org")
    repository.commit()
    return repository
