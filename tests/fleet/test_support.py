"""An archive of each host for whoever helps, through the play: what helps is in it, and no secret, reading or weight of the fleet."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.fleet.api import Api
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet

READINGS = """
import glob, sqlite3
for file in glob.glob("/var/lib/bramble-client/**/readings.db", recursive=True):
    store = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    for (name,) in store.execute("SELECT name FROM pragma_table_info('samples') WHERE name != 't'").fetchall():
        print(*(repr(value) for (value,) in store.execute(f'SELECT "{name}" FROM samples ORDER BY t DESC LIMIT 200') if value is not None))
"""


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {member.name.removeprefix("bramble-support/"): archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file}


def test_one_archive_of_each_host_comes_to_the_controller(controller: Controller, fleet: Fleet, api: Api, source: Path) -> None:
    api.generate()
    api.end_of(api.start_round())
    play = controller.play("support.yml", source=source).ok()
    assert set(play.changed.values()) == {0}
    found = {name: unpacked(source / f"ansible/support/{name}.tar.gz") for name in fleet.hosts}
    for name, parts in found.items():
        assert "bramble-fl==" in parts["versions.txt"], name
        assert "disk: " in parts["machine.txt"], name
        assert "FAIL" not in parts["selftest.txt"], parts["selftest.txt"]
        assert "bramble" in parts["log.txt"], name
        assert not parts["log.txt"].startswith("not there"), name
        assert not fleet[name].output("ls -d /tmp/ansible*support* 2>/dev/null || true")
    assert found["hub"]["server/status.json"].startswith("{")
    assert "ok   bme280: plausible: temperature, humidity, pressure can be" in found["pi-2"]["selftest.txt"]
    assert {"settings/client-pi-3a.toml", "settings/client-pi-3b.toml"} <= set(found["pi-3"])

    secrets = set(fleet.server.output("cat /etc/bramble/*.token; grep -oE '[0-9a-f]{64}' /etc/bramble/tokens.toml").split())
    readings = set[str]()
    for name in ("pi-1", "pi-2", "pi-3"):
        secrets |= set(fleet[name].output("cat /etc/bramble/*.token").split())
        read = fleet[name].run("python3 -", stdin=READINGS.encode()).stdout.split()
        readings |= {value for value in read if len(value.partition(".")[2]) >= 3}
    weights = {repr(value) for tensor in api.get("/model")["weights"].values() for value in flat(tensor)}
    weights = {text for text in weights if len(text) >= 8}
    assert len(secrets) >= 7
    assert len(readings) > 100
    assert len(weights) > 1000
    whole = "\n".join(text for parts in found.values() for text in parts.values())
    assert not [secret for secret in secrets if secret in whole]
    assert not [value for value in readings | weights if value in whole]


def flat(values: object) -> list[float]:
    return [each for value in values for each in flat(value)] if isinstance(values, list) else [float(str(values))]
