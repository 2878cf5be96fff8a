"""The server that quickstart installs as a service: what systemd gets, as whom it runs, and where it cannot be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bramble.quickstart import service
from bramble_protocol import BrambleError

SYSTEMCTL = '#!/bin/sh\necho "$@" >>"{log}"\n[ "$1" != "$FAILS" ] || {{ echo "Job failed." >&2; exit 1; }}\n'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemctl was told."""
    tools, log = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL.format(log=log))
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.delenv("SUDO_UID", raising=False)
    return log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "fleet"
    (made / "clients").mkdir(parents=True)
    (made / "server.toml").write_text("[server]\n")
    return made


@pytest.mark.process
def test_the_plays_own_unit_starts_what_quickstart_made_and_goes_on_at_boot(folder: Path, calls: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    service.install(folder, units)
    assert calls.read_text().splitlines() == [
        "daemon-reload",
        "enable --quiet bramble-server.service",
        "restart bramble-server.service",
    ]
    assert (units / "bramble-server.service").read_text() == service.UNIT.read_text()
    drop_in = (units / "bramble-server.service.d/quickstart.conf").read_text()
    assert f"ReadWritePaths={folder}\n" in drop_in
    assert re.search(rf"ExecStart=\nExecStart=\S+ -m bramble server --config {folder}/server.toml\n", drop_in)
    assert f"User={folder.stat().st_uid}\n" in drop_in
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "bramble-server.service"],
            capture_output=True, text=True, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/system"},
        )  # fmt: skip
        assert (done.returncode, [line for line in done.stderr.splitlines() if "bramble" in line]) == (0, [])


@pytest.mark.process
def test_one_that_does_not_start_is_named_with_where_its_log_is(
    folder: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "restart")
    with pytest.raises(BrambleError, match=r"the server does not start \(Job failed\.\); see: journalctl --namespace=bramble"):
        service.install(folder, tmp_path)


def test_a_folder_that_sudo_made_is_the_persons_who_typed_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    mine = folder.stat()
    assert service.owner(folder) == ((1234, 1235) if mine.st_uid == 0 else (mine.st_uid, mine.st_gid))


def test_where_it_cannot_be_that_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "possible", lambda: False)
    with pytest.raises(BrambleError, match="this machine does not run systemd"):
        service.refuse_unless_it_can_be()
    monkeypatch.setattr(service, "possible", lambda: True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BrambleError, match=r"--service takes root: sudo .* -m bramble quickstart --service"):
        service.refuse_unless_it_can_be()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(service, "RELEASES", tmp_path)
    with pytest.raises(BrambleError, match="Ansible's play has brought a server here already"):
        service.refuse_unless_it_can_be()
