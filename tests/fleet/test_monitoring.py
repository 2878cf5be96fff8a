"""Alert rules and dashboard are brought to a Prometheus that runs, which reads them without a restart, and to a Grafana's folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.api import Api
from tests.fleet.controller import Controller, Play
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.fleet.wait import until

UNIT = """[Service]
ExecStart=/usr/local/bin/prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/run/prometheus
User=nobody
Group=prometheus
RuntimeDirectory=prometheus
"""
TOLD = "global: {scrape_interval: 1s}\nrule_files: [bramble.rules.yml]\n"


@pytest.fixture
def hub(fleet: Fleet, api: Api) -> Iterator[Host]:
    """The server's host with Debian's Prometheus of this machine, and Grafana's folders."""
    hub = fleet.server
    for name in ("prometheus", "promtool"):
        program = f"/usr/local/bin/{name}"
        hub.run(f"cat >{program}; chmod 755 {program}", stdin=Path(f"/usr/bin/{name}").read_bytes())
    hub.run("groupadd --system prometheus; mkdir -p /etc/prometheus /etc/grafana/provisioning/dashboards")
    hub.run("cat >/etc/systemd/system/prometheus.service; systemctl daemon-reload", stdin=UNIT.encode())
    hub.run("echo 'global: {}' >/etc/prometheus/prometheus.yml")
    yield hub
    hub.run("systemctl stop prometheus; rm -rf /etc/prometheus /etc/grafana /etc/systemd/system/prometheus.service /usr/local/bin/prom*")
    hub.run("systemctl daemon-reload; groupdel prometheus")


def said(play: Play) -> str:
    """Return what a play said, without the breaks of its lines."""
    return " ".join(play.output.split())


def asked(hub: Host, path: str) -> Any:
    done = hub.run(f"curl -fsS http://127.0.0.1:9090/api/v1/{path}", check=False)
    return json.loads(done.stdout)["data"] if done.returncode == 0 else {}


def test_prometheus_and_grafana_get_what_they_read_and_nothing_is_restarted(hub: Host, controller: Controller, source: Path) -> None:
    running = "systemctl show --property=MainPID --value bramble-server bramble-inspector prometheus"
    play = controller.play("monitoring.yml", source=source).ok()
    assert "name /etc/prometheus/bramble.rules.yml below rule_files in prometheus.yml; take what is in" in said(play)
    assert "Grafana looks for dashboards of a new folder when it starts" in said(play)
    assert json.loads(hub.output("cat /etc/grafana/bramble/bramble.json"))["title"]
    assert "/etc/grafana/bramble" in hub.output("cat /etc/grafana/provisioning/dashboards/bramble.yml")
    assert hub.output("stat -c '%a %U %G' /etc/prometheus/bramble.token") == "640 root prometheus"
    assert hub.output("cat /etc/prometheus/bramble.token") not in play.output

    hub.run("cat >/etc/prometheus/prometheus.yml", stdin=TOLD.encode())
    hub.run("cat /etc/prometheus/bramble.scrape.yml >>/etc/prometheus/prometheus.yml; echo 'groups: []' >/etc/prometheus/bramble.rules.yml")
    hub.run("systemctl start prometheus")
    until(lambda: "groups" in asked(hub, "rules"), "Prometheus", 60)
    assert asked(hub, "rules")["groups"] == []
    before = hub.output(running)
    play = controller.play("monitoring.yml", source=source).ok()
    assert "below rule_files" not in said(play)
    until(lambda: [group["name"] for group in asked(hub, "rules")["groups"]], "the rules", 30)
    until(lambda: [each["health"] for each in asked(hub, "targets")["activeTargets"]] == ["up"], "the server to be scraped", 30)
    assert hub.output(running) == before
    assert set(controller.play("monitoring.yml", source=source).ok().changed.values()) == {0}


def test_a_host_with_neither_is_named_with_the_remedy(controller: Controller, api: Api, source: Path) -> None:
    play = controller.play("monitoring.yml", "-e", "monitoring_hosts=pi-1", source=source)
    assert play.code != 0
    assert "pi-1 has neither /etc/prometheus/prometheus.yml nor /etc/grafana: install Prometheus" in said(play)
