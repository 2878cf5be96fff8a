"""The controller: this machine's ansible-playbook, an inventory and a vault password of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.kill import kill_all
from tests.fleet.rootfs import USER, cache
from tests.fleet.typed import typed
from tests.fleet.wait import until

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs/operations.md").read_text("utf-8")
MANUAL_COPY = re.findall(r"`(cp -r inventories[^`]*)`", MANUAL)[0]
MANUAL_LOOK, MANUAL_DEPLOY = re.findall(r"`(ansible-playbook deploy\.yml --ask-vault-pass[^`]*)`", MANUAL)[:2]
"""The commands of the manual's first fleet."""
MANUAL_LEAKED = shlex.split(re.findall(r"`deploy\.yml (-e '[^`]*\"authority\"[^`]*')`", MANUAL)[0])
"""What the manual adds to a deployment when the authority's key is in wrong hands."""
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Play:
    """How a run of ansible-playbook ended."""

    code: int
    output: str
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host."""
        return {host: int(changed) for host, _, changed, _, _ in RECAP.findall(self.output)}

    @property
    def failed(self) -> list[str]:
        """Hosts that failed or could not be reached."""
        return [host for host, _, _, unreachable, failed in RECAP.findall(self.output) if int(unreachable) + int(failed)]

    def ok(self) -> Play:
        """Return self, or fail with the end of the output."""
        assert self.code == 0, self.output[-6000:]
        return self


def half(host: Host, part: str) -> Callable[[], bool]:
    """Return whether a client's host holds packages or a release that have some part already and are not complete."""
    look = f"for folder in packages/*/ releases/*/; do [ -e $folder/.complete ] || ! ls $folder/{part} || exit 0; done; exit 1"
    return lambda: host.run(f"cd /opt/bramble/client && {look}", check=False).returncode == 0


class Controller:
    """Runs playbooks against a fleet.

    Parameters
    ----------
    fleet
        Booted hosts: the first is server and inspector, the others are clients.
    variables
        For all hosts.
    """

    def __init__(self, fleet: Fleet, variables: Mapping[str, Any]) -> None:
        self._fleet = fleet
        self.folder = fleet.folder / "controller"
        self.folder.mkdir()
        self.variables = dict(variables)
        self.host_variables: dict[str, dict[str, Any]] = {name: {} for name in fleet.hosts}
        self.password = self.folder / "password"
        self.password.write_text("correct horse battery staple\n")
        self.secrets = self.folder / "secrets"
        self.patience = 900.0
        """Seconds after which a play is taken for one that hangs."""
        self.zone = "IST-5:30"
        """The controller's time zone: any but that of the hosts."""

    def set_up_by_the_manual(self, source: Path) -> None:
        """Write the inventory as docs/operations.md says: the example copied, hosts in one file, wishes in the other."""
        done = subprocess.run(MANUAL_COPY, shell=True, cwd=source / "ansible", check=False)
        assert done.returncode == 0, MANUAL_COPY
        folder = source / "ansible/inventories/production"
        described = json.loads(self.inventory().read_text())["all"]
        shared = {name: value for name, value in described["vars"].items() if name != "identity_folder"}
        (folder / "hosts.yml").write_text(json.dumps({"all": {"children": described["children"]}}, indent=2))
        (folder / "group_vars/all.yml").write_text(json.dumps(shared, indent=2))
        self.secrets = source / "ansible/secrets/production"

    def by_the_manual(self, command: str, source: Path) -> Play:
        """Type a command of docs/operations.md in a source tree's folder ``ansible``, and the vault's password when asked."""
        return self._typed(command, {r"[Pp]assword[^\n]*: ?$": self.password.read_text().strip()}, source)

    def answer(self, answer: str, playbook: str, *arguments: str, source: Path = ROOT) -> Play:
        """Run a playbook at a terminal, and type an answer to its question."""
        return self._typed(shlex.join(map(str, [*self._command(playbook), *arguments])), {"Type yes to go on:": answer}, source)

    def _typed(self, command: str, answers: dict[str, str], source: Path) -> Play:
        begun = time.monotonic()
        path = f"{ROOT / '.venv-fleet/bin'}:{os.environ['PATH']}"
        code, shown = typed(command, source / "ansible", {**self._environment, "PATH": path}, answers, self.patience)
        return self._noted(command, Play(code, shown, time.monotonic() - begun))

    def inventory(self) -> Path:
        """Write the inventory as it is now."""
        hosts = {
            name: {"ansible_host": host.address, "ansible_ssh_common_args": host.ssh_arguments, **self.host_variables[name]}
            for name, host in self._fleet.hosts.items()
        }
        server = self._fleet.server.name
        clients = {name: hosts[name] for name in hosts if name != server}
        folders = {"wheelhouse_folder": str(cache() / "wheelhouse"), "identity_folder": str(self.secrets)}
        shared = {"ansible_user": USER, **folders, **self.variables}
        groups = {"server": {"hosts": {server: hosts[server]}}, "inspector": {"hosts": {server: {}}}, "clients": {"hosts": clients}}
        path = self.folder / "hosts.yml"
        path.write_text(json.dumps({"all": {"vars": shared, "children": groups}}, indent=2))
        return path

    def _command(self, playbook: str, inventory: Path | None = None, password: Path | None = None) -> list[str | Path]:
        return [
            ROOT / ".venv-fleet/bin/ansible-playbook", playbook, "-i", inventory or self.inventory(), "--vault-password-file",
            password or self.password,
        ]  # fmt: skip

    def play(
        self,
        playbook: str,
        *arguments: str,
        source: Path = ROOT,
        password: Path | None = None,
        inventory: Path | None = None,
        wrapper: Sequence[str] = (),
    ) -> Play:
        """Run a playbook of a source tree to its end."""
        command, begun = [*wrapper, *self._command(playbook, inventory, password), *arguments], time.monotonic()
        with self._running(command, source, subprocess.PIPE) as process:
            shown = process.communicate(timeout=self.patience)[0].decode(errors="replace")
        return self._noted(f"{playbook} {' '.join(arguments)}", Play(process.returncode, shown, time.monotonic() - begun))

    @contextmanager
    def begun(self, playbook: str, *arguments: str, source: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
        """Begin to run a playbook, which is killed at the end if it still runs."""
        with (
            open(self._fleet.folder / "plays.log", "ab") as log,
            self._running([*self._command(playbook), *arguments], source, log) as process,
        ):
            yield process

    @contextmanager
    def _running(self, command: Sequence[str | Path], source: Path, output: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command in a source tree; at the end, which may be Ctrl-C, nothing of it is left."""
        process = subprocess.Popen(
            command, cwd=source / "ansible", env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                kill_all(process.pid)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @property
    def _environment(self) -> dict[str, str]:
        # A control socket's path is short, and every inventory's own. The controller is where the hosts are not.
        return {
            **os.environ,
            "TZ": self.zone,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOG_PATH": str(self.folder / "ansible.log"),
        }

    def _noted(self, what: str, play: Play) -> Play:
        with open(self._fleet.folder / "plays.log", "a") as log:
            log.write(f"=== {what}: exit {play.code} after {play.seconds:.0f} s\n{play.output}\n")
        return play

    def cut(
        self,
        task: str,
        *arguments: str,
        nth: int = 1,
        come_to: Callable[[], bool] = lambda: True,
        later: float = 0,
        source: Path = ROOT,
    ) -> None:
        """Run deploy.yml and kill all of it once a task, the ``nth`` of that name, has come to something, or seconds ``later``.

        Fails if the play ends before.
        """
        begun, shown, seen = time.monotonic(), "", 0
        with self._running([*self._command("deploy.yml"), *arguments], source, subprocess.PIPE) as play:
            alarm = threading.Timer(self.patience, kill_all, [play.pid])
            alarm.start()
            try:
                assert play.stdout is not None
                for line in map(bytes.decode, play.stdout):
                    shown += line
                    seen += line.startswith("TASK [") and line.partition("]")[0].endswith(task)
                    if seen == nth:
                        until(come_to, f"{task!r} to come to where it is cut", 300, every=0.05)
                        time.sleep(later)
                        break
            finally:
                alarm.cancel()
        self._noted(f"cut at {task!r}", Play(play.returncode, shown, time.monotonic() - begun))
        assert seen == nth, f"the play ended before {task!r}: {shown[-3000:]}"

    def deploy(self, *arguments: str, source: Path = ROOT) -> Play:
        """Run deploy.yml."""
        return self.play("deploy.yml", *arguments, source=source)

    def another_release(self, name: str, edits: Mapping[str, tuple[str, str]], source: Path = ROOT) -> Path:
        """Copy sources and replace a text in each of some files: another release, perhaps a broken one."""
        copy = self._fleet.folder / name
        packages = ("bramble", "protocol", "server", "edge_client", "inspector")
        keep = ("ansible", "deploy", "systemd", *packages, "pyproject.toml", "README.md", "LICENSE")
        shutil.rmtree(copy, ignore_errors=True)  # a test's first try may have made it
        copy.mkdir()
        for part in keep:
            if (source / part).is_dir():
                shutil.copytree(source / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
            else:
                shutil.copy2(source / part, copy / part)
        for path, (old, new) in edits.items():
            text = (copy / path).read_text()
            assert old in text, f"{path} has no {old!r}"
            (copy / path).write_text(text.replace(old, new, 1))
        return copy
