"""The server as a service of this machine: the play's own unit, and a drop-in that starts it from here with what quickstart made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bramble_protocol import BrambleError

UNITS = Path("/etc/systemd/system")
RELEASES = Path("/opt/bramble/server/releases")
NAME = "bramble-server.service"
UNIT = Path(__file__).with_name(NAME)
OURS = "quickstart.conf"


def possible() -> bool:
    """Whether systemd runs here."""
    return Path("/run/systemd/system").is_dir()


def refuse_unless_it_can_be() -> None:
    """Raise a ``BrambleError`` with the remedy if a service cannot be installed here by this user."""
    if not possible():
        raise BrambleError("--service: this machine does not run systemd; leave it out, and start the server by hand")
    if os.geteuid() != 0:
        raise BrambleError(f"--service takes root: sudo {sys.executable} -m bramble quickstart --service, with the same --dir")
    if RELEASES.exists():
        raise BrambleError("--service: Ansible's play has brought a server here already; leave it out")


def install(folder: Path, units: Path = UNITS) -> None:
    """Install, enable and start it; it goes on when this process ends, and at boot.

    Parameters
    ----------
    folder
        What quickstart made; the service runs as its owner, and writes nowhere else.

    Raises
    ------
    BrambleError
        If it cannot be written, or does not start; the text says where its log is.
    """
    user, group = owner(folder)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user, group, follow_symlinks=False)  # some of it was made by root just now
    try:
        (units / NAME).write_text(UNIT.read_text("utf-8"), "utf-8")
        drop_in = units / f"{NAME}.d" / OURS
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text(override(folder, user, group), "utf-8")
    except OSError as error:
        raise BrambleError(f"--service: {error.filename} cannot be written ({error.strerror})") from None
    for command in (["daemon-reload"], ["enable", "--quiet", NAME], ["restart", NAME]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
            raise BrambleError(f"--service: the server does not start ({why}); see: journalctl --namespace=bramble -u {NAME} -n 20")


def owner(folder: Path) -> tuple[int, int]:
    """Return whose the folder is: if root made it by sudo, whose who typed that, for Bramble itself may lie in their home."""
    found = folder.stat()
    if found.st_uid == 0 and "SUDO_UID" in os.environ:
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    return found.st_uid, found.st_gid


def override(folder: Path, user: int, group: int) -> str:
    """Return the drop-in: who, where and what, within the unit's own sandbox.

    Home folders are read-only but for this one. As root it has no capability, so it is nobody who could do more than that.
    """
    return f"""# Written by bramble quickstart --service.
[Service]
ExecStartPre=
ExecStart=
ExecStart={sys.executable} -m bramble server --config {folder}/server.toml
User={user}
Group={group}
StateDirectory=
WorkingDirectory={folder}
ReadWritePaths={folder}
ProtectHome=read-only
NoExecPaths=
NoExecPaths=/tmp /var/tmp
"""
