"""What the client's unit lets it ask: under its sandbox a client finds out what it finds out without."""

from __future__ import annotations

import json
import re

import pytest

from tests.fleet.controller import Play
from tests.fleet.fleet import Fleet

ASKED = """
import json, os, pathlib, time
from edge_client import builtin, health
from edge_client.hal.clock import clock_synchronised
from edge_client.runner import Runner

folder = pathlib.Path(os.environ["STATE_DIRECTORY"])
found = health.read(folder)
told = {"synchronised": clock_synchronised(), "health": sorted(found), "pins": pathlib.Path("/proc/device-tree").exists()}
try:
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    told["sets"] = True
except OSError:
    told["sets"] = False
runner, graph = Runner(200), builtin.any_graph()
runner.load(graph.sha256, graph.flatbuffer)
process = pathlib.Path(f"/proc/{runner.pid}")
(limit,) = [line.split()[3] for line in (process / "limits").read_text().splitlines() if line.startswith("Max data size")]
told["training"] = {"memory": int(limit), "oom": int((process / "oom_score_adj").read_text())}
runner.close()
(folder / "told.json").write_text(json.dumps(told))
"""
"""Run as the client is, and without the sandbox."""


PLACE = "/opt/bramble/probe.py"


def probe(unit: str, python: str) -> str:
    """Return the shipped unit in everything but what it runs, its name and where it keeps its state."""
    text = re.sub(r"^ExecStart=.*$", f"ExecStart={python} {PLACE}", unit, flags=re.MULTILINE)
    text = re.sub(r"^(Type|Restart|WatchdogSec|LoadCredential)=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"((?:State|Runtime|Working)Directory=(?:%S/)?).*", r"\1bramble-probe", text)
    return text.replace("[Service]", "[Service]\nType=oneshot")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("host", "unit"), [("pi-1", "bramble-client"), ("pi-3", "bramble-client@")], ids=["alone", "one of many"])
def test_the_sandbox_hides_nothing_that_a_client_asks(fleet: Fleet, first_play: Play, host: str, unit: str) -> None:
    machine, python = fleet[host], "/opt/bramble/client/current/bin/python"
    text = probe(machine.output(f"cat /etc/systemd/system/{unit}.service"), python)
    units = "/etc/systemd/system/bramble-probe.service"
    machine.run(f"cat > {units} <<'END'\n{text}\nEND\ncat > {PLACE} <<'END'\n{ASKED}\nEND\n")
    try:
        machine.run("systemctl daemon-reload && systemctl start bramble-probe.service")
        inside = json.loads(machine.output("cat /var/lib/bramble-probe/told.json"))
        machine.run(f"mkdir -p /tmp/told && STATE_DIRECTORY=/tmp/told setpriv --bounding-set=-all {python} {PLACE}")
        outside = json.loads(machine.output("cat /tmp/told/told.json"))
    finally:
        machine.run(f"rm -rf {units} {PLACE} /var/lib/bramble-probe /tmp/told; systemctl daemon-reload")
    assert inside["synchronised"] in (True, False), "denied: the clock could never be trusted"
    assert inside == outside
    assert not inside["sets"]
    assert inside["training"] == {"memory": 200 << 20, "oom": 1000}, "training has a process with limits, and goes first"
