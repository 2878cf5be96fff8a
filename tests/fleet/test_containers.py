"""The images of server and inspector, built and run with buildah. No registry is asked: the base is a Debian made here."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.controller import ROOT
from tests.fleet.rootfs import cache, python_base
from tests.pasted import paste

sys.path.insert(0, str(ROOT / "ansible"))

from wheelhouse import locks
from wheelhouse.build import build_wheel, fetch
from wheelhouse.targets import find

PARTS = ("server", "inspector")


class Buildah:
    """Debian's buildah with a store of its own, in which nothing stays."""

    def __init__(self, folder: Path) -> None:
        self.command = ["buildah", "--storage-driver", "overlay", "--root", str(folder / "store"), "--runroot", str(folder / "run")]

    def __call__(self, *arguments: object) -> str:
        done = subprocess.run([*self.command, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The project's folder after ``make dist``, as far as an image sees it, with the wheels beside that an index would give."""
    folder, houses = tmp_path / "context", cache() / "wheelhouse"
    shutil.copytree(ROOT / "ansible/locks", folder / "ansible/locks")
    (folder / "dist").mkdir()
    shutil.copy2(build_wheel(houses), folder / "dist")
    for part in PARTS:
        target = find(part, f"cp311-{platform.machine()}")
        wanted = locks.read(part, target)
        fetch(wanted, target, houses / "pool")
        for wheel in wanted:
            shutil.copy2(houses / "pool" / wheel.file, folder / "dist")
    shutil.copy2(ROOT / ".dockerignore", folder)
    return folder


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Buildah]:
    buildah = Buildah(tmp_path / "buildah")
    yield buildah
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


def test_the_images_hold_server_and_inspector_which_find_each_other(context: Path, buildah: Buildah, tmp_path: Path) -> None:
    base = buildah("from", "scratch")
    buildah("add", base, python_base())
    buildah("commit", "--rm", base, "base")
    for part in PARTS:
        buildah(
            "build", "--isolation", "chroot", "--file", ROOT / "deploy/containers/Containerfile", "--build-arg", "BASE=localhost/base",
            "--build-arg", f"PART={part}", "--build-arg", "PIP_NO_INDEX=1", "--tag", part, context,
        )  # fmt: skip
        buildah("from", "--name", f"{part}-1", part)
        assert buildah("inspect", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Cmd}}", part) == (
            '65532:65532 [/bin/sh -c exec bramble "$PART"]'
        )
    run = f"{' '.join(buildah.command)} run --isolation chroot --network host"
    inspector = f"{run} --env BRAMBLE_SERVER=http://127.0.0.1:5000 --env BRAMBLE_INSPECTOR_WITHOUT_LOGIN=true inspector-1"
    said = paste(
        f"""
        {run} server-1 -- /bin/sh -c 'exec bramble "$PART"' &
        {inspector} -- /bin/sh -c 'exec bramble "$PART"' &
        until curl -sf http://127.0.0.1:5000/healthz && curl -sf -o /dev/null http://127.0.0.1:8050/; do sleep 0.2; done
        {run} server-1 -- sh -c 'id -u; ls /data/server; bramble fleet status; command -v pip || echo no pip' </dev/null
        kill $(jobs -p); wait; echo THE END
        """,
        tmp_path,
        within=120,
    )
    assert "THE END" in said, said
    assert "bramble server ready on" in said
    assert "bramble inspector ready on" in said
    assert "65532" in said
    assert "bramble.db" in said
    assert "no pip" in said
    assert "Traceback" not in said
