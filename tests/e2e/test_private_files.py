"""Whoever runs a server or a client by hand on a shared machine: nobody else there reads what they write."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for


def open_to_others(folder: Path) -> dict[str, str]:
    """Return what others may enter, read or write below a folder."""
    modes = {}
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a journal comes and goes
            modes[path] = path.lstat().st_mode
    return {str(path.relative_to(folder)): oct(mode) for path, mode in modes.items() if mode & 0o077 and not stat.S_ISLNK(mode)}


def test_what_a_server_and_a_client_write_is_their_users_own(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        former = tmp_path / "data" / "bramble.db"
        with ServerProcess(tmp_path, fresh=True) as server:
            server.stop()
        former.chmod(0o644)  # as a former release left it
        with ServerProcess(tmp_path) as server:
            folder = tmp_path / "client"
            command = [sys.executable, "-m", "bramble", "client", "--id", "attic", "--sensors", "mock", "--data-dir", str(folder)]
            clean = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
            with (tmp_path / "client.log").open("w") as log:
                client = subprocess.Popen([*command, "--server", server.url], cwd=ROOT, env=clean, stdout=log, stderr=log)
            try:
                wait_for(lambda: (folder / "readings.db").exists() and (folder / "outbox.db").exists(), "its files")
                assert open_to_others(folder) == {}
                assert open_to_others(tmp_path / "data") == {}
            finally:
                client.terminate()
                client.wait(30)
    finally:
        os.umask(before)
