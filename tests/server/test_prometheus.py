"""Debian's Prometheus with what lies in deploy/ for it: it scrapes a server, and its alerts fire when they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml  # type: ignore[import-untyped]

from bramble_server.fleet.tokens import hash_of, http_entry
from tests.ports import kept
from tests.server.pi import Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/bramble.rules.yml"
DASHBOARD = DEPLOY / "grafana/bramble.json"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        sentence = f"there is no {name}: install Debian's prometheus to have scraping, rules and dashboard tried"
        (pytest.fail if "CI" in os.environ else pytest.skip)(sentence)
    return found


def promtool(*arguments: str) -> str:
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> Iterator[str]:
    """Every expression of the dashboard, as Grafana sends it."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$instance", ".*").replace("$task", ".*")


def test_the_rules_are_rules_and_fire_when_they_should() -> None:
    assert "SUCCESS: 16 rules found" in promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(DEPLOY / "prometheus/bramble.rules.test.yml"))


def test_every_alert_says_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in rules if set(rule["annotations"]) != {"summary", "remedy"}] == []


def test_each_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = [{"record": f"panel:number:{index}", "expr": expression} for index, expression in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert len(rules) > 15
    promtool("check", "rules", str(tmp_path / "panels.yml"))


@pytest.mark.slow
def test_a_prometheus_scrapes_a_server_and_knows_every_name_that_rules_and_dashboard_use(tmp_path: Path) -> None:
    people = http_entry("prometheus", hash_of("scrape"), ["metrics"]), http_entry("me", hash_of("me"), ["admin"]).removeprefix("[http]\n")
    lines = ["[clients]", *(f'{name} = "{hash_of(token)}"' for name, token in (("pi-1", "pi"), ("pi-never", "never"))), *people]
    (tmp_path / "tokens.toml").write_text("\n".join(lines))
    (tmp_path / "scrape.token").write_text("scrape")
    with ServerProcess(tmp_path, "--min-clients", "1", "--tokens", str(tmp_path / "tokens.toml")) as server:
        job = {
            "job_name": "bramble",
            "authorization": {"credentials_file": str(tmp_path / "scrape.token")},
            "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
            "scrape_interval": "1s",
        }
        rules = RULES.read_text("utf-8")
        config = {"scrape_configs": [job], "rule_files": [str(RULES)], "global": {"evaluation_interval": "1s"}}
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        url = f"http://127.0.0.1:{(port := kept())}"
        flags = [
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        log = (tmp_path / "prometheus.log").open("w")
        with log, subprocess.Popen([tool("prometheus"), *flags], stdout=log, stderr=log) as prometheus:
            try:
                with Pi(server.url, auth=hello("pi-1", token="pi")) as pi:
                    number = server.request("POST", "/", {"Authorization": "Bearer me"})[1]["round"]
                    metrics = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 5, "test_error": 2.25, "test_baseline": 4.0}
                    pi.train(1.0, metrics=metrics)

                    def asked(expression: str) -> dict[str, float]:
                        try:
                            answer = requests.get(f"{url}/api/v1/query", {"query": expression}, timeout=5)
                        except requests.ConnectionError:
                            assert prometheus.poll() is None, (tmp_path / "prometheus.log").read_text()
                            return {}
                        found: Any = answer.json()["data"]["result"] if answer.ok else []  # while it begins it says that it is not ready
                        return {each["metric"].get("client", each["metric"].get("state", "")): float(each["value"][1]) for each in found}

                    wait_for(lambda: asked("bramble_task_error") == {"": 1.5}, "the error of the round that ended")
                    assert asked("bramble_client_up") == {"pi-1": 1, "pi-never": 0}
                    last = asked("bramble_round_last_timestamp_seconds")["committed"]
                    assert last == pytest.approx(time.time(), abs=120)
                    assert asked("bramble_build_info") == {"": 1}
                    assert number == 1
                wait_for(lambda: asked("bramble_client_up") == {"pi-1": 0, "pi-never": 0}, "the client that left")
                assert asked("bramble_client_last_seen_timestamp_seconds").keys() == {"pi-1"}, "that stays"
                known = set(requests.get(f"{url}/api/v1/label/__name__/values", timeout=5).json()["data"])
            finally:
                prometheus.terminate()
    described = set(re.findall(r"^# TYPE (\S+)", server_text(tmp_path), re.M)) | known
    used = {name for text in (rules, DASHBOARD.read_text("utf-8")) for name in re.findall(r"\bbramble_\w+", text)}
    assert {name for name in used if name not in described and re.sub("_(bucket|total|info)$", "", name) not in described} == set()


def server_text(folder: Path) -> str:
    """What a server without a client tells: the name of each metric, also of those that have no value yet."""
    with ServerProcess(folder, port=0) as server:
        body: bytes = server.request("GET", "/metrics")[1]
    return body.decode()
