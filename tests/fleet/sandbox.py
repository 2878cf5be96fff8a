"""Runs a script where a unit's processes are: under a copy of the unit as the host has it, with all its drop-ins."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

PLACE = "/opt/bramble/probe.py"
COPY = "/etc/systemd/system/bramble-probe.service"
TRIED = Path(__file__).with_name("probe.py").read_text()
OTHERS = (
    "/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root", "/home/pi", "/etc/bramble/client.token", "/etc/bramble/operator.token",
    "/etc/bramble/inspector.token", "/etc/bramble/server.key", "/etc/bramble/client-pi-3b.token",
    "/run/credentials/bramble-client@pi-3b.service/token", "/var/lib/bramble-client/pi-3b/readings.db",
    "/var/lib/private/bramble-client/pi-3b/readings.db",
)  # fmt: skip
"""Secrets and data of others, wherever a host has some of them."""


def python_of(unit: str) -> str:
    """Return the Python of a unit's release."""
    return f"/opt/bramble/{re.findall(r'bramble-(server|inspector|client)', unit)[0]}/current/bin/python"


def copied(text: str, unit: str, arguments: str) -> str:
    """Return a unit in everything but what it runs, its name, its secrets and where it keeps its state."""
    text = text.split("[Install]")[0] + "".join(re.findall(r"\n# /etc/\S+\.conf\n(?:.*\n?)*", text.partition("[Install]")[2]))
    text = re.sub(r"^(Exec\w+|Type|Restart\w*|\w+Sec|LoadCredential|Environment)=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"%S/bramble-\w+(/%i)?", "%S/bramble-probe", text)
    text = re.sub(r"StateDirectory=.*", "StateDirectory=bramble-probe", text).replace("%i", unit.partition("@")[2])
    run = f"Type=oneshot\nTimeoutStartSec=300\nExecStart={python_of(unit)} {PLACE} {arguments}"
    return text.replace("[Service]", f"[Service]\n{run}", 1)


def inside(host: Host, unit: str, script: str, *arguments: str, text: str = "") -> dict[str, Any]:
    """Run a script where a unit's processes are, or another unit's of which the text is given; return what it left in ``told.json``."""
    text = copied(text or host.output(f"systemctl cat --no-pager {unit}.service"), unit, " ".join(arguments))
    try:
        host.run(f"cat > {PLACE}", stdin=script.encode())
        host.run(f"cat > {COPY}", stdin=text.encode())
        started = host.run("systemctl daemon-reload && systemctl start bramble-probe.service", check=False, timeout=320)
        assert started.returncode == 0, started.stderr + host.journal("bramble-probe")[-2000:]
        told: dict[str, Any] = json.loads(host.output("cat /var/lib/bramble-probe/told.json"))
    finally:
        host.run(f"rm -rf {COPY} {PLACE} /var/lib/bramble-probe /var/lib/private/bramble-probe; systemctl daemon-reload")
    return told


def outcomes(fleet: Fleet, name: str, unit: str, text: str = "") -> dict[str, str]:
    """Return what was tried from inside a unit, or one of which the text is given, and what came of it: nothing, or 0, where denied."""
    host, away = fleet[name], next(pi for pi in fleet.clients if pi.name != name)
    needed = fleet.server.address if "client" in unit else "127.0.0.1"
    make = "import ctypes; print(ctypes.CDLL(None).shmget(0x62726D62, 4096, 0o1666))"
    segment = host.output(f"python3 -c '{make}'")
    try:
        return inside(host, unit, TRIED, f"{unit}.service", ":".join(OTHERS), needed, away.address, text=text)
    finally:
        host.run(f"ipcrm -m {segment}")


def possible(fleet: Fleet, name: str, unit: str, text: str = "") -> dict[str, str]:
    """Return what came of everything that was not denied."""
    return {what: came for what, came in outcomes(fleet, name, unit, text).items() if came and came != "0"}
