"""What a release takes of a host, and what a host is told that has not got it: nothing is left half done, its client measures on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.wait import until

HOME = "/opt/bramble/client"
NEXT = {"bramble/__init__.py": ('"""', '"""The next release. ')}
OTHER_LOCK = {"ansible/locks/client-cp311-x86_64.txt": ("# The client", "# Once more. The client")}
LEFT = f"/opt/bramble/incoming {HOME}/incoming {HOME}/packages/half {HOME}/releases/half"
"""What plays leave that are cut while they install, of this release and of former ones."""
COUNT = "sqlite3.connect('/var/lib/bramble-client/readings.db').execute('SELECT COUNT(*) FROM samples').fetchone()[0]"


def taken(host: Host) -> int:
    """Return the megabytes of all that is installed."""
    return int(host.output("du -sm /opt/bramble").split()[0])


def received(host: Host) -> int:
    """Return the bytes that a host has got from the network since it booted."""
    return int(host.output("sed -n 's/^ *host0: *//p' /proc/net/dev").split()[0])


def folders(host: Host) -> list[str]:
    """Return all that an installation makes folders of."""
    return host.output(
        f"cd /opt/bramble && ls -d incoming served */incoming {HOME}/packages/* {HOME}/releases/* 2>/dev/null || true"
    ).split()


@pytest.mark.timeout(900)
def test_a_next_release_takes_little_and_a_host_without_room_or_read_only_is_left_out_by_name(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    good, read_only, small = fleet["pi-1"], fleet["pi-2"], fleet["pi-3"]
    packages = good.output(f"ls {HOME}/packages")
    good.run(f"mkdir -p {LEFT} && touch /opt/bramble/incoming/half.tar")
    good.run(f"systemd-run --unit=bramble-install sh -c 'while sleep 0.1; do mkdir -p {HOME}/packages/half; done'")
    read_only.run("mount --bind /opt /opt && mount -o remount,ro,bind /opt")
    controller.host_variables["pi-3"]["preflight_free_mb"] = 1_000_000
    before = {host.name: folders(host) for host in (read_only, small)}
    room, sent = taken(good), received(good)
    try:
        play = controller.deploy(source=controller.another_release("next", NEXT, source))
    finally:
        del controller.host_variables["pi-3"]["preflight_free_mb"]
        read_only.run("umount /opt")
    said = " ".join(play.output.split())
    assert play.failed == ["pi-2", "pi-3"], play.output[-5000:]
    assert "pi-2 cannot be written to (/opt: Read-only file system)" in said
    assert "pi-3 has " in said
    assert "MB are needed (0 for packages, " in said
    assert {host.name: folders(host) for host in (read_only, small)} == before
    assert api.get("/clients")["clients"]["pi-1"]["version"] == api.status()["version"], "the others are served"
    assert taken(good) - room <= 18
    assert received(good) - sent < 20 << 20, "all packages are 50 MB"
    assert good.output(f"ls {HOME}/packages") == packages, "one folder, for it is the same lock"
    assert good.run(f"ls -d {LEFT}", check=False).stdout == "", "what was cut off is cleared away"
    assert not fleet.server.active("bramble-wheels")
    assert fleet.server.run("ls -d /opt/bramble/served", check=False).returncode != 0
    api.wait_for(CLIENTS)


@pytest.mark.timeout(900)
def test_an_installation_that_fills_the_disk_leaves_nothing_and_a_host_that_would_forget_it_gets_none(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    """Packages and readings are on one small card, which the check of the space does not see: a second set of packages does not fit."""
    pi, data = fleet["pi-1"], "/var/lib/bramble-client"
    pi.run(
        f"set -e; mkdir -p /mnt/card; mount -t tmpfs -o size=$(( $(du -sm {HOME}/packages | cut -f1) + 50 ))m tmpfs /mnt/card; "
        f"systemctl stop bramble-client; cp -a {HOME}/packages /mnt/card/; cp -a {data} /mnt/card/data; "
        f"mount --bind /mnt/card/packages {HOME}/packages; mount --bind /mnt/card/data {data}; systemctl start bramble-client"
    )
    api.wait_for(CLIENTS)
    before, process = folders(pi), pi.unit_pid("bramble-client")
    forgetful = fleet["pi-2"]
    forgetful.run("echo console=serial0 boot=overlay >/tmp/cmdline && mount --bind /tmp/cmdline /proc/cmdline")
    try:
        play = controller.deploy("--limit", "localhost,hub,pi-1,pi-2", source=controller.another_release("other-lock", OTHER_LOCK, source))
        assert play.failed == ["pi-1", "pi-2"], play.output[-5000:]
        assert "pi-2 forgets at its next boot all that is written to it" in " ".join(play.output.split())
        assert "pi-1: No space left on device" in " ".join(play.output.split()), "the reason comes first"
        assert folders(pi) == before
        assert pi.unit_pid("bramble-client") == process
        api.wait_for(CLIENTS)
        count = f'python3 -c "import sqlite3; print({COUNT})"'
        kept = int(pi.output(count))
        api.generate()
        until(lambda: int(pi.output(count)) > kept, "new readings on the card")
    finally:
        forgetful.run("umount /proc/cmdline")
        pi.run(
            f"systemctl stop bramble-client; umount {HOME}/packages; cp -a {data} /tmp/data && umount {data} /mnt/card && "
            f"cp -a /tmp/data/. {data}/ && rm -r /tmp/data; systemctl start bramble-client"
        )
    api.wait_for(CLIENTS)
