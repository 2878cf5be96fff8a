"""``bramble support``: what a helper needs is in the archive, and no secret, reading or weight."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from bramble import cli
from bramble_server.fleet.tokens import hash_of, http_entry, new_token
from tests.server.pi import Pi, hello, readings
from tests.server.process import ServerProcess

JOURNAL = """#!/bin/sh
echo "2026-01-01T00:00:00+00:00 pi bramble-server[1]: round 1 began; Authorization: Bearer {token}; mqtts://me:{password}@home.example"
"""


def gathered(*arguments: str) -> dict[str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(["support", *arguments])
    assert end.value.code == 0
    with tarfile.open(arguments[arguments.index("--output") + 1]) as archive:
        found = {member.name.removeprefix("bramble-support/"): archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in found.items() if file}


@pytest.mark.slow
def test_what_helps_is_in_it_and_no_secret_no_reading_and_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = new_token()[0], "correct-horse-battery"
    etc, tools = tmp_path / "etc", tmp_path / "bin"
    etc.mkdir()
    tools.mkdir()
    http = http_entry("me", hash_of(token), ["admin"])
    (tmp_path / "tokens.toml").write_text(f'[clients]\npi-1 = "{hash_of("pi")}"\n{http}\n')
    (etc / "tokens.toml").write_text((tmp_path / "tokens.toml").read_text())
    (etc / "server.toml").write_text(f'[server]\nmin_clients = 3\ndatabase = "postgresql://me:{secret}@db/x"\nmqtt_login = "{secret}"\n')
    (etc / "broken.toml").write_text("[server\n")
    (tmp_path / "my.token").write_text(token)
    (tools / "journalctl").write_text(JOURNAL.format(token=token, password=secret))
    (tools / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    with (
        ServerProcess(tmp_path, "--min-clients", "1", "--tokens", str(tmp_path / "tokens.toml")) as server,
        Pi(server.url, auth=hello("pi-1", token="pi")) as pi,
    ):
        number = server.request("POST", "/", {"Authorization": f"Bearer {token}"})[1]["round"]
        pi.train(4.0625, metrics={"loss_before": 2.0, "loss_after": 1.0})
        pi.call("data_update", readings(channels={"temperature": {"unit": "°C", "value": [37.8125, 38.8125]}}))
        reach = ("--server", server.url, "--token-file", str(tmp_path / "my.token"), "--settings-in", str(etc))
        found = gathered(*reach, "--output", str(tmp_path / "support.tar.gz"))
    whole = "\n".join(found.values())
    for forbidden in (token, secret, hash_of(token), hash_of("pi"), "37.8125", "38.8125", "4.0625"):
        assert forbidden not in whole
    assert "tokens.toml" not in "".join(found)
    assert "bramble-fl==" in found["versions.txt"]
    assert json.loads(found["settings/server.toml"])["server"] == {"min_clients": 3, "database": "(left out)", "mqtt_login": "(left out)"}
    assert found["settings/broken.toml"].startswith("not there: ")
    assert "round 1 began; Authorization: Bearer (left out); mqtts://(left out)@home.example" in found["log.txt"]
    assert json.loads(found["server/status.json"])["mode"] == "evaluation"
    assert json.loads(found["server/rounds.json"])[0]["round"] == number
    assert set(json.loads(found["server/clients.json"])["clients"]) == {"pi-1"}
    assert "bramble_build_info" in found["server/metrics.txt"]
    assert "disk: " in found["machine.txt"]


@pytest.mark.process
def test_a_client_s_sensors_are_tried_and_no_value_of_theirs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bramble.api", None)  # as on a Pi, which has no HTTP library
    (tmp_path / "client.toml").write_text(f'[client]\nsensors = "mock"\nid = "pi-9"\nreplay = "{tmp_path / "room.csv"}"\n')
    (tmp_path / "room.csv").write_text("time,temperature,humidity,pressure\n2023-01-01T00:00:00Z,8.125,80,1013\n")
    (tmp_path / "client-two.toml").write_text('[client]\nsensrs = "mock"\n')
    (tmp_path / "client-three.toml").write_text('[client]\nsensors = "linux"\nbus = 99\n')
    found = gathered("--settings-in", str(tmp_path), "--output", str(tmp_path / "support.tar.gz"))
    lines = found["selftest.txt"].splitlines()
    assert f"ok   {tmp_path}/client.toml" in lines
    assert "ok   bme280: plausible: temperature, humidity, pressure can be" in lines
    assert any(line.startswith("FAIL sensors of client-three.toml: /dev/i2c-99: there is no such bus") for line in lines)
    assert any(line.endswith("[client] sensrs: is not a setting of bramble client, did you mean 'sensors'?") for line in lines)
    assert "8.125" not in "".join(found.values())
    assert found["server.txt"].startswith("not there: a client asks no server over HTTP")


@pytest.mark.process
def test_without_a_server_the_rest_is_there_and_says_so(tmp_path: Path) -> None:
    output = str(tmp_path / "support.tar.gz")
    found = gathered("--server", "http://127.0.0.1:9", "--settings-in", str(tmp_path), "--output", output)
    assert found["server.txt"].startswith("not there: No server answers at http://127.0.0.1:9")
    assert {"versions.txt", "machine.txt", "log.txt"} <= set(found)
