"""``bramble quickstart`` on this machine, and what it says pasted on three hosts that boot: no play, and no wheel from an index.

They are given back as they were, for the deployments that come after it.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.controller import ROOT
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.network import GATEWAY
from tests.fleet.rootfs import cache
from tests.fleet.wait import until

sys.path.insert(0, str(ROOT / "ansible"))

from wheelhouse import locks
from wheelhouse.build import fetch
from wheelhouse.targets import find

PIS = ("pi-1", "pi-2", "pi-3")
BRAMBLE = ROOT / ".venv/bin/bramble"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """All that a client needs beside its own wheel, for both systems: these hosts reach no index."""
    folder, pool = tmp_path / "wheels", cache() / "wheelhouse" / "pool"
    folder.mkdir()
    for name in ("cp311-x86_64", "cp313-x86_64"):
        target = find("client", name)
        wanted = locks.read("client", target)
        fetch(wanted, target, pool)
        for wheel in wanted:
            (folder / wheel.file).unlink(missing_ok=True)
            (folder / wheel.file).symlink_to(pool / wheel.file)
    return folder


@pytest.fixture
def untouched_after(fleet: Fleet) -> Iterator[Fleet]:
    for name in PIS:
        fleet[name].put_by()
        fleet[name].boot()
    for name in PIS:
        fleet[name].reachable()
    yield fleet
    for name in PIS:
        fleet[name].bring_back()


def pasted(host: Host, line: str) -> subprocess.CompletedProcess[str]:
    """Type a line in a shell of its own: what Ansible's user runs by sudo is in the journal as a whole, and nobody types this so."""
    host.run("cat >/tmp/line", stdin=line.encode())
    return host.run("sh /tmp/line", check=False, timeout=300)


def test_five_commands_lead_to_a_secure_round_of_three_hosts(untouched_after: Fleet, wheels: Path, tmp_path: Path) -> None:
    fleet, folder = untouched_after, tmp_path / "fleet"
    assert fleet.network is not None
    inside: list[str | Path] = ["ip", "netns", "exec", fleet.network.namespace]
    began = time.monotonic()
    command = [*inside, BRAMBLE, "quickstart", "--address", GATEWAY, "--dir", folder, "--clients", ",".join(PIS), "--sensors", "mock"]
    command += ["--mode", "evaluation", "--task", "climate", "--wheels", wheels, "--secure"]
    with (tmp_path / "said").open("w") as said:
        quickstart = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        lines = until(lambda: dict(re.findall(r"(?m)^(pi-\d)\n (printf .*)$", (tmp_path / "said").read_text())), "the lines", 60)
        assert set(lines) == set(PIS)
        changed = lines["pi-1"].replace("echo '", "echo '0", 1)
        refused = pasted(fleet["pi-1"], changed)
        assert refused.returncode != 0
        assert not fleet["pi-1"].run("ls /opt/bramble", check=False).stdout, "what is not what the line says does not run"
        for name in PIS:
            joined = pasted(fleet[name], lines[name])
            assert f"{name} has joined" in joined.stdout, joined.stdout + joined.stderr
            assert fleet[name].active("bramble-client.service")
        rounds = [*inside, BRAMBLE, "round", "start", "--config", folder / "fleet.toml", "--generate", "100", "--wait", "--json"]
        done = subprocess.run(rounds, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        assert fleet["pi-1"].output("stat -c '%a %U' /etc/bramble/identity.key") == "600 root"
        parts = json.loads(done.stdout)["clients"]
        assert {name: part["samples"] for name, part in parts.items()} == dict.fromkeys(PIS), "the server saw their sum alone"
        print(f"from quickstart to the first round: {time.monotonic() - began:.0f} s")
        token = (folder / "clients/pi-1.token").read_text()
        for name in PIS:
            assert token not in fleet[name].journal(), f"no log of {name} holds a token"
        assert fleet["pi-1"].output("stat -c '%a %U' /etc/bramble/client.token") == "600 root"
        assert "pi-1 has joined" in pasted(fleet["pi-1"], lines["pi-1"]).stdout, "a line may be pasted twice"
    finally:
        quickstart.terminate()
        assert quickstart.wait(20) == 0, (tmp_path / "said").read_text()


@pytest.fixture
def installed(untouched_after: Fleet, tmp_path: Path) -> Host:
    """A host on which somebody installed the server as the manual says, but for an index."""
    host, target, pool = untouched_after["pi-1"], find("server", "cp311-x86_64"), cache() / "wheelhouse" / "pool"
    wanted = {*locks.read("server", target), *locks.read("client", find("client", "cp311-x86_64"))}
    fetch(sorted(wanted), target, pool)
    made = f"from pathlib import Path; from bramble.quickstart import own_wheel; own_wheel.wheel(Path({str(tmp_path / 'own')!r}))"
    subprocess.run([BRAMBLE.with_name("python"), "-c", made], check=True)
    files = [*(pool / wheel.file for wheel in wanted), *(tmp_path / "own").iterdir()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for file in files:
            archive.add(file, file.name)
    host.run("mkdir /root/wheels && tar -x -C /root/wheels", stdin=packed.getvalue(), timeout=300)
    pip = "/opt/own/bin/python $(ls /root/wheels/pip-*.whl)/pip install --quiet --no-index --find-links /root/wheels"
    host.run(f"python3 -m venv --without-pip /opt/own && {pip} 'bramble-fl[server,signing]'", timeout=300)
    return host


def test_the_server_is_a_service_that_goes_on_and_comes_back_after_a_reboot(installed: Host) -> None:
    bramble, unit = "/opt/own/bin/python -m bramble", "bramble-server.service"
    given = f"--service --address {installed.address} --clients pi-1,pi-2 --sensors mock --mode evaluation --task climate --dir /root/fleet"
    installed.run(f"systemd-run --quiet --unit=quickstart --working-directory=/root {bramble} quickstart {given}")
    until(lambda: "goes on after Ctrl-C" in installed.journal("quickstart"), "quickstart to say what is to be pasted", 120)
    assert installed.active(unit)
    installed.run("systemctl stop quickstart")
    look = f"{bramble} round list --config /root/fleet/fleet.toml"
    assert installed.run(look).stdout.startswith("no round yet"), "it serves, over TLS, without quickstart"
    installed.reboot()
    until(lambda: installed.active(unit), "the server to be back", 90)
    installed.run(look)
