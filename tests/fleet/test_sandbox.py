"""What the client's unit lets it ask: under its sandbox a client finds out what it finds out without."""

from __future__ import annotations

import json
import re

import pytest

from tests.fleet.controller import Play
from tests.fleet.fleet import Fleet

ASKED = """
import json, os, pathlib, time
from edge_client import health
from edge_client.hal.clock import clock_synchronised

folder = pathlib.Path(os.environ["STATE_DIRECTORY"])
found = health.read(folder)
told = {"synchronised": clock_synchronised(), "health": sorted(found), "pins": pathlib.Path("/proc/device-tree").exists()}
try:
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    told["sets"] = True
except OSError:
    told["sets"] = False
(folder / "told.json").write_text(json.dumps(told))
"""
"""Run as the client is, and without the sandbox."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("host", "unit", "state"),
    [("pi-1", "bramble-client.service", "bramble-client"), ("pi-3", "bramble-client@.service", "bramble-client/probe")],
    ids=["alone", "one of many"],
)
def test_the_sandbox_hides_nothing_that_a_client_asks(fleet: Fleet, first_play: Play, host: str, unit: str, state: str) -> None:
    machine, python = fleet[host], "/opt/bramble/client/current/bin/python"
    text = machine.output(f"cat /etc/systemd/system/{unit}")
    # The shipped unit in everything but what it runs; its name, state and watchdog are the probe's own
    text = re.sub(r"^ExecStart=.*$", f"ExecStart={python} /opt/bramble/probe.py", text, flags=re.MULTILINE)
    text = re.sub(r"^(Type|Restart|WatchdogSec|LoadCredential)=.*\n", "", text, flags=re.MULTILINE).replace("[Service]", "[Service]\nType=oneshot")
    text = text.replace("bramble-client/%i", "bramble-client/probe")
    text = re.sub(r"(StateDirectory|RuntimeDirectory|WorkingDirectory)=(%S/)?bramble-client$", r"\1=\2bramble-probe", text, flags=re.MULTILINE)
    name = state.replace("bramble-client", "bramble-probe") if "/" not in state else state
    machine.run(f"cat > /etc/systemd/system/bramble-probe.service <<'END'\n{text}\nEND\ncat > /opt/bramble/probe.py <<'END'\n{ASKED}\nEND\n")
    machine.run("systemctl daemon-reload && systemctl start bramble-probe.service")
    inside = json.loads(machine.output(f"cat /var/lib/{name}/told.json"))
    machine.run(f"mkdir -p /tmp/outside && STATE_DIRECTORY=/tmp/outside setpriv --bounding-set=-all {python} /opt/bramble/probe.py")
    outside = json.loads(machine.output("cat /tmp/outside/told.json"))
    machine.run(f"rm -rf /etc/systemd/system/bramble-probe.service /opt/bramble/probe.py /var/lib/{name} /tmp/outside; systemctl daemon-reload")
    assert inside["synchronised"] in (True, False), "denied: the clock could never be trusted"
    assert inside == outside
    assert not inside["sets"]
