"""A bridge in a network namespace of its own, and one more a host: no interface of this machine is on it, so nothing gets out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from tests.fleet.kill import kill_all

GATEWAY = "10.77.0.1"


def ip(*arguments: str, check: bool = True) -> str:
    """Run ``ip``."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """The bridge; ``namespace`` is where the controller's connections start from.

    Namespaces carry the id of the process that made them, by which they are found when it was killed.
    """

    def __init__(self) -> None:
        self._prefix = f"bramble-{os.getpid()}"
        self.namespace = self._prefix
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "link", "add", "br0", "type", "bridge")
        ip("-n", self.namespace, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        ip("-n", self.namespace, "link", "set", "br0", "up")

    def join(self, name: str, number: int) -> tuple[str, str]:
        """Make a host's namespace, with one interface ``host0`` on the bridge; return the namespace and the address."""
        namespace, address = f"{self._prefix}-{name}", f"10.77.0.{10 + number}"
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "link", "add", f"v{number}", "type", "veth", "peer", "name", "host0", "netns", namespace)
        ip("-n", self.namespace, "link", "set", f"v{number}", "master", "br0", "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "host0")
        ip("-n", namespace, "link", "set", "host0", "up")
        return namespace, address

    def cut(self, number: int) -> None:
        """Pull a host's cable at the switch: the host still sees its link, and only silence."""
        ip("-n", self.namespace, "link", "set", f"v{number}", "nomaster")

    def restore(self, number: int) -> None:
        """Plug it in again."""
        ip("-n", self.namespace, "link", "set", f"v{number}", "master", "br0", "up")

    def close(self) -> None:
        """Delete every namespace of this run; the interfaces go with them."""
        clear_namespaces(lambda owner: owner == os.getpid())


def clear_namespaces(wanted: Callable[[int], bool]) -> None:
    """Delete the namespaces that processes made whose numbers are wanted."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if parts[0] == "bramble" and len(parts) > 1 and parts[1].isdigit() and wanted(int(parts[1])):
            # A connection that Ansible keeps open for a minute would keep the namespace, too, without a name.
            for pid in map(int, ip("netns", "pids", name, check=False).split()):
                kill_all(pid)
            ip("netns", "delete", name, check=False)
