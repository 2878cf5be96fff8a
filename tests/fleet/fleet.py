"""The test fleet: a server's host and some clients' hosts, booted together and gone together."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.fleet import rootfs
from tests.fleet.host import Host
from tests.fleet.network import Network


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
        bases = {name: rootfs.build((suites or {}).get(name, "bookworm")) for name in names}
        # Not below /tmp, which may be a tmpfs: an overlay's upper layer needs a real file system.
        self.folder = Path(tempfile.mkdtemp(prefix="bramble-fleet-", dir="/var/tmp"))
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
                host.reachable()
        except BaseException:
            self.close()
            raise

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
        """Stop every host, delete the network and the folder."""
        for host in self.hosts.values():
            host.close()
        if self.network is not None:
            self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
