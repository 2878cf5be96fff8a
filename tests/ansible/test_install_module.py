"""Installing on a host's disk, without a host: what is there already is not sent again, and half of something is nobody's."""

from __future__ import annotations

import functools
import hashlib
import http.server
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import module_on
from tests.waiting import wait_for

WHEEL = "bramble_fl-1.0-py3-none-any.whl"
CONTENT = b"all of a wheel"
WANTED = {"file": WHEEL, "sha256": hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    module = module_on(tmp_path, monkeypatch, "bramble_install")
    home = tmp_path / "opt/bramble"
    for name, path in (("INCOMING", home / "incoming"), ("SERVED", home / "served"), ("LOCK", tmp_path / "lock")):
        monkeypatch.setattr(module, name, path)
    (home / "incoming").mkdir(parents=True)
    return module


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The server's host, which serves a folder."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_wheel_that_came_with_other_settings_is_not_fetched_again(install: Any, tmp_path: Path) -> None:
    release = tmp_path / "opt/bramble/client/releases/1.0-target-settings"
    release.mkdir(parents=True)
    (release / WHEEL).write_bytes(CONTENT)
    assert install.get(WANTED, "") == ""
    assert (install.INCOMING / WHEEL).read_bytes() == CONTENT
    assert (release / WHEEL).stat().st_nlink == 2, "and takes no room"


@pytest.mark.parametrize(("content", "why"), [(CONTENT, ""), (b"another", "is not what the controller has"), (None, "File not found")])
def test_a_file_is_fetched_against_its_digest_or_it_is_said_why_not(
    install: Any, served: str, tmp_path: Path, content: bytes | None, why: str
) -> None:
    damaged = tmp_path / "opt/bramble/client/releases/damaged"
    damaged.mkdir(parents=True)
    (damaged / WHEEL).write_bytes(b"half")
    if content is not None:
        (tmp_path / "web" / WHEEL).write_bytes(content)
    assert why in (said := install.get(WANTED, served))
    assert (said == "") == (content == CONTENT)
    assert [path.name for path in install.INCOMING.iterdir()] == ([WHEEL] if content == CONTENT else [])


def test_what_is_not_complete_is_cleared_away_but_what_runs_is_not(install: Any, tmp_path: Path) -> None:
    home = tmp_path / "opt/bramble"
    for folder in ("client/releases/half", "client/releases/whole", "client/releases/runs", "client/packages/half", "server/incoming"):
        (home / folder).mkdir(parents=True)
    (home / "client/releases/whole/.complete").touch()
    (home / "client/current").symlink_to(home / "client/releases/runs")
    assert set(install.clear()) == {"incoming", "server/incoming", "client/packages/half", "client/releases/half"}
    assert {path.name for path in (home / "client/releases").iterdir()} == {"whole", "runs"}


def test_an_installation_that_lost_its_play_is_ended_by_the_next(install: Any, tmp_path: Path) -> None:
    def lost() -> None:
        with install.alone():
            command = subprocess.Popen(["sleep", "1000"])
            (tmp_path / "begun").write_text(str(command.pid))
            time.sleep(1000)

    def after() -> None:
        with install.alone():
            (tmp_path / "after").touch()

    first, second = (multiprocessing.get_context("fork").Process(target=target) for target in (lost, after))
    first.start()
    wait_for(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text(), "the first to have begun")
    second.start()
    second.join(60)
    first.join(60)
    assert (tmp_path / "after").exists()
    assert first.exitcode == -signal.SIGKILL
    command = int((tmp_path / "begun").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{command}") or "Z" in Path(f"/proc/{command}/stat").read_text(), "its command to end, too")


def test_packages_come_before_what_the_distribution_has_and_start_as_if_they_were_installed(install: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "release"], check=True)
    (site,) = (tmp_path / "release/lib").glob("python3*/site-packages")
    for name in ("packages", "distribution"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "leaf.py").write_text(f"whose = {name!r}\n")
        (tmp_path / name / "only.pth").write_text("import sys; sys.started = True\n" if name == "packages" else "")
    install.see(tmp_path / "release", tmp_path / "packages", tmp_path / "distribution")
    assert {path.name for path in site.glob("*.pth")} == {"bramble-packages.pth", "distribution.pth"}
    said = subprocess.run(
        [tmp_path / "release/bin/python", "-c", "import leaf, sys; print(leaf.whose, sys.started)"], stdout=subprocess.PIPE, text=True
    )
    assert said.stdout.split() == ["packages", "True"]
