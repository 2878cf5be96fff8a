"""The test fleet: a server's host and some clients' hosts, booted together and gone together."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from tests.fleet import leftovers, rootfs
from tests.fleet.host import Host
from tests.fleet.leftovers import PREFIX, SPACE
from tests.fleet.network import Network

ROOMY = 8 << 30
"""Bytes of free memory from which on the hosts' disks are kept in memory: a fleet writes some 3 GB, and none of it is to last."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, being asked to end, and a terminal that was closed."""

WATCHES, ENOUGH = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
"""A host takes some fifteen of them, and a machine's hosts share one limit, of 128: a ninth host would hang at its start."""


def _workspace() -> Path:
    """Make the run's folder, in memory where there is plenty."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=SPACE))
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= ROOMY:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60%", "bramble-fleet", folder], check=True)
    return folder


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Take no signal for an answer meanwhile: a second Ctrl-C must not leave half of a fleet behind."""
    before = {end: signal.signal(end, signal.SIG_IGN) for end in ENDS}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


class Fleet:
    """Booted hosts by name, usable in ``with``.

    Parameters
    ----------
    names
        The hosts' names; the first is the server.
    suites
        Debian suites by host name, for those that are not bookworm.
    """

    def __init__(self, names: list[str], suites: dict[str, str] | None = None) -> None:
        for end in ENDS:  # whoever is asked to end must still shut its hosts down
            if signal.getsignal(end) is signal.SIG_DFL:
                signal.signal(end, signal.default_int_handler)
        suite_of = {name: (suites or {}).get(name, "bookworm") for name in names}
        with ThreadPoolExecutor() as pool:
            bases = dict(zip(suite_of, pool.map(rootfs.build, suite_of.values()), strict=True))
        if int(WATCHES.read_text()) < ENOUGH:
            WATCHES.write_text(str(ENOUGH))
        leftovers.clear()
        self._watcher = leftovers.watch()
        self.folder = _workspace()
        self.network: Network | None = None
        self.hosts: dict[str, Host] = {}
        try:
            key = self.folder / "key"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bramble-fleet", "-f", key], check=True)
            self.network = Network()
            for number, name in enumerate(names):
                self.hosts[name] = Host(name, number, self.network, self.folder / name, bases[name], key)
            for host in self.hosts.values():
                host.boot()
            for host in self.hosts.values():
                self._await(host)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _await(host: Host) -> None:
        """Wait for a host; one that hangs while several boot at once is switched off and on again, once."""
        try:
            host.reachable(45)
        except AssertionError:
            host.power_cut()
            host.boot()
            host.reachable()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def server(self) -> Host:
        """The first host."""
        return next(iter(self.hosts.values()))

    @property
    def clients(self) -> list[Host]:
        """All other hosts."""
        return list(self.hosts.values())[1:]

    def cut(self, host: Host) -> None:
        """Pull a host's cable."""
        assert self.network is not None
        self.network.cut(host.number)

    def restore(self, host: Host) -> None:
        """Plug it in again."""
        assert self.network is not None
        self.network.restore(host.number)

    def close(self) -> None:
        """Stop every host, delete the network and the folder: each of them, whatever becomes of another."""
        with _undisturbed(), ExitStack() as stack:
            stack.callback(self._watcher.communicate, leftovers.PEACE)
            stack.callback(leftovers.remove, self.folder)
            if self.network is not None:
                stack.callback(self.network.close)
            for host in self.hosts.values():
                stack.callback(host.close)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
