"""One host of the test fleet: systemd as PID 1 in a container, on an overlay of its own, in a network namespace of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.fleet.leftovers import MACHINE
from tests.fleet.network import Network
from tests.fleet.rootfs import USER, build
from tests.fleet.wait import until

OWN = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", MACHINE)
"""Runs in namespaces of its own, which end with this process."""


class Host:
    """A booted host.

    Parameters
    ----------
    name
        Host name.
    number
        Gives it its address on the bridge.
    folder
        Where its changes to the root file system, its console's log and the ssh socket live.
    base
        The root file system below.
    key
        Private ssh key of the controller.
    """

    def __init__(self, name: str, number: int, network: Network, folder: Path, base: Path, key: Path) -> None:
        self.name, self.number, self.folder, self.network = name, number, folder, network
        self.namespace, self.address = network.join(name, number)
        self._base, self._kept, self._key = base, base, key
        self._process: subprocess.Popen[bytes] | None = None
        for part in ("up", "work", "root"):
            (folder / part).mkdir(parents=True)
        authorized = folder / f"up/home/{USER}/.ssh/authorized_keys"
        authorized.parent.mkdir(parents=True)
        authorized.write_text(key.with_suffix(".pub").read_text())
        owner = next(line.split(":") for line in (base / "etc/passwd").read_text().splitlines() if line.startswith(f"{USER}:"))
        for path in (authorized, authorized.parent, authorized.parent.parent):
            os.chown(path, int(owner[2]), int(owner[3]))
            path.chmod(0o600 if path.is_file() else 0o700)

    @property
    def ssh_options(self) -> list[str]:
        """What ssh needs to get to the bridge: a connection that starts in the fleet's namespace."""
        return [
            "-F", "none", "-i", str(self._key), "-o", f"ProxyCommand=ip netns exec {self.network.namespace} nc %h %p", "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
        ]  # fmt: skip

    @property
    def ssh_arguments(self) -> str:
        """The same for an inventory."""
        return " ".join(f"'{option}'" if " " in option else option for option in self.ssh_options)

    def boot(self) -> None:
        """Start the machine; ``reachable`` waits for it."""
        with open(self.folder / "console.log", "ab") as log:
            self._process = subprocess.Popen(
                [*OWN, "boot"], env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "BASE": str(self._base), "FOLDER": str(self.folder), "NAME": self.name, "NAMESPACE": self.namespace}

    def reachable(self, within: float = 90.0) -> None:
        """Wait until systemd has started everything and ssh answers."""

        def up() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise AssertionError(f"{self.name} did not boot: {(self.folder / 'console.log').read_text(errors='replace')[-2000:]}")
            return self.run("true", check=False, fresh=True, timeout=10).returncode == 0

        until(up, f"{self.name} to answer ssh", within)

    def run(
        self, command: str, check: bool = True, timeout: float = 120, fresh: bool = False, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root on the host, which may read ``stdin``; ``fresh`` does not trust an open connection."""
        share = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.folder}/ssh", "-o", "ControlPersist=120"]
        if fresh:
            self.hang_up()
        arguments = ["ssh", *self.ssh_options, *share, f"{USER}@{self.address}", f"sudo sh -c {shlex.quote(command)}"]
        # Files, not pipes: the process that keeps the shared connection may hold on to them long after this command is done.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            given.write(stdin)
            given.seek(0)
            ended = subprocess.run(arguments, stdin=given, stdout=output, stderr=errors, timeout=timeout)
            output.seek(0)
            errors.seek(0)
            done = subprocess.CompletedProcess(ended.args, ended.returncode, output.read(), errors.read())
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {command}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done

    def output(self, command: str) -> str:
        """Return what a command prints."""
        return self.run(command).stdout.strip()

    def hang_up(self) -> None:
        """Close the shared ssh connection, if any."""
        subprocess.run(
            ["ssh", *self.ssh_options, "-o", f"ControlPath={self.folder}/ssh", "-O", "exit", self.address], capture_output=True, check=False
        )

    def boot_id(self) -> str:
        """Tell one boot from another: PID 1's start time (the kernel's own boot id is shared by all containers)."""
        return self.output("cut -d' ' -f22 /proc/1/stat")

    def reboot(self) -> None:
        """Reboot, as a person would, and wait until the host answers again."""
        before = self.boot_id()
        self.run("systemctl reboot", check=False)
        self.hang_up()
        until(lambda: self._booted_since(before), f"{self.name} to come back from a reboot", 90)

    def _booted_since(self, before: str) -> bool:
        done = self.run("cut -d' ' -f22 /proc/1/stat", check=False, fresh=True, timeout=10)
        return done.returncode == 0 and done.stdout.strip() != before

    def power_cut(self) -> None:
        """Kill every process of the machine at once."""
        self.hang_up()
        if self._process is None or self._process.poll() is not None:
            return
        pid = self._process.pid
        first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._process.kill()
        self._process.wait()
        # The kernel lets the first process of a PID namespace go when all others are gone.
        until(lambda: not any(Path("/proc", process).exists() for process in first), f"the end of {self.name}")

    def put_by(self) -> None:
        """Keep its disk as it is now, switched off, for ``bring_back``."""
        self.power_cut()
        subprocess.run(["cp", "-a", self.folder / "up", self.folder / "kept"], check=True)

    def bring_back(self) -> None:
        """Boot with the disk, and the system, that were put by."""
        self.power_cut()
        subprocess.run(["rm", "-rf", self.folder / "up"], check=True)
        (self.folder / "kept").rename(self.folder / "up")
        self._base = self._kept
        self.boot()
        self.reachable()

    def upgrade(self, suite: str) -> None:
        """Give it the system of another Debian suite, as an upgrade in place does: what is its own stays, and it boots."""
        self.run("systemctl stop 'bramble-*'")
        self.power_cut()
        self._base = build(suite)
        self.boot()
        self.reachable()

    def unit_pid(self, unit: str) -> int:
        """Return the main process of a unit, 0 for none."""
        return int(self.output(f"systemctl show -P MainPID {unit}"))

    def active(self, unit: str) -> bool:
        """Whether a unit runs and said that it is ready."""
        return self.run(f"systemctl is-active --quiet {unit}", check=False).returncode == 0

    def journal(self, unit: str | None = None, since: str | None = None) -> str:
        """Return the journal, the system's and that of our units: of a unit, or all of it."""
        chosen = (f" --unit={unit}" if unit else "") + (f" --since={shlex.quote(since)}" if since else "")
        return self.output(f"journalctl --namespace='*' --no-pager --output=short-iso{chosen}")

    def close(self) -> None:
        """Switch it off for good."""
        self.power_cut()
        subprocess.run([*OWN, "clear"], env=self._environment, check=True)
