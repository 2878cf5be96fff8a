"""The root file system that the hosts boot: Debian made with mmdebstrap, kept in a cache directory, built when absent."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

PACKAGES = (
    "adduser", "ca-certificates", "curl", "dbus", "iproute2", "openssh-server", "openssl", "procps", "python3", "python3-apt", "sudo",
    "systemd-sysv", "systemd-timesyncd",
)  # fmt: skip
"""What a Raspberry Pi OS image brings along. Neither python3-venv nor pip nor a compiler: a release must not need them."""

USER = "pi"
"""The user that Ansible logs in as: no root login, sudo without a password, as Raspberry Pi OS sets it up."""


def cache() -> Path:
    """Return the folder that outlives a test run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bramble-fleet"


def build(suite: str = "bookworm") -> Path:
    """Return a root file system of a Debian suite, made now if the cache has none with these packages."""
    return _kept(suite, suite, PACKAGES, _settle)


def python_base() -> Path:
    """Return a Debian with Python and its venv, and hardly more: what an image begins with where no registry can be asked."""
    return _kept("python", "bookworm", ("python3-venv",), lambda root: None)


def _kept(name: str, suite: str, packages: tuple[str, ...], settle: Callable[[Path], None]) -> Path:
    wanted = hashlib.sha256("\n".join([suite, USER, *packages, Path(__file__).read_text()]).encode()).hexdigest()[:12]
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / f"{name}-{wanted}"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.is_dir():
            return root
        for stale in folder.glob(f"{name}-*"):
            shutil.rmtree(stale)
        unfinished = folder / f".{name}-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        command: list[str | Path] = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--skip=check/qemu",
            f"--include={','.join(packages)}",
            suite,
            unfinished,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"mmdebstrap could not make a {suite} root file system: {done.stderr.strip()[-2000:]}")
        settle(unfinished)
        unfinished.rename(root)
    return root


def _settle(root: Path) -> None:
    """Make what is to be each host's own empty, and let the test user in."""
    (root / "etc/machine-id").write_text("")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    # One key pair for all test hosts: they live behind a bridge without a route out, and boot faster with a key at hand.
    subprocess.run(["chroot", root, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/ssh_host_ed25519_key"], check=True)
    subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    sudoers = root / f"etc/sudoers.d/{USER}"
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    (root / "etc/ssh/sshd_config.d/fleet.conf").write_text("UseDNS no\nPasswordAuthentication no\nMaxSessions 100\nMaxStartups 100\n")
    # Nothing here may wait for a network that is up before the machine starts.
    for unit in ("systemd-networkd-wait-online.service", "apt-daily.timer", "apt-daily-upgrade.timer"):
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
