"""Boot a fleet and keep it for somebody to play with: ``tests/fleet/run --keep``. Ctrl-C takes it away."""

from __future__ import annotations

import shlex
import signal

from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.rootfs import USER


def main() -> None:
    """Boot, say how to reach the hosts, wait."""
    with Fleet(["hub", "pi-1", "pi-2", "pi-3"], {"pi-2": "trixie"}) as fleet:
        controller = Controller(fleet, {"server_mode": "evaluation", "client_sensors": "mock"})
        inventory, hub = controller.inventory(), fleet.server
        print("Booted: " + ", ".join(f"{name} ({host.address})" for name, host in fleet.hosts.items()))
        print("Deploy:  cd ansible && ../.venv-fleet/bin/ansible-playbook deploy.yml", end=" ")
        print(f"-i {inventory} --vault-password-file {controller.password}")
        print("Log in:  " + shlex.join(["ssh", *hub.ssh_options, f"{USER}@{hub.address}"]))
        print("Ctrl-C stops them.", flush=True)
        signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    main()
