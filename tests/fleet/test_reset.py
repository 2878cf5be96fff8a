"""Beginning again, and what a backup is worth: the commands are those of docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import ROOT, Controller
from tests.fleet.fleet import Fleet

MANUAL = (ROOT / "docs" / "operations.md").read_text().split("## Backing up and restoring the server")[1].split("\n## ")[0]
BACK_UP, RESTORE = re.findall(r"```sh\n(.*?)```", MANUAL, re.DOTALL)


def test_a_reset_without_a_yes_deletes_nothing(controller: Controller, api: Api, source: Path) -> None:
    before = api.status()["round"]
    play = controller.play("reset.yml", source=source)
    assert play.code != 0
    assert "Nothing was deleted: type yes" in play.output
    assert api.status()["round"] == before


@pytest.mark.timeout(600)
def test_a_reset_forgets_everything_and_the_backup_brings_the_model_back(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    api.generate()
    last = api.round()
    assert last["state"] == "committed"
    fleet.server.run(f"cd /root && {BACK_UP}")
    readings = "stat --format=%i:%W /var/lib/bramble-client/pi-3a/readings.db"
    before = fleet["pi-3"].output(readings)
    controller.play("reset.yml", "-e", "reset_confirmed=true", source=source).ok()
    api.wait_for(CLIENTS, 90)
    assert api.status()["round"] == 0
    assert fleet["pi-3"].output(readings) != before, "what an instance keeps lies elsewhere than it seems to"
    assert "error" in api.get(f"/rounds/{last['round']}")
    api.generate()
    assert api.trained(api.round()["round"]) == CLIENTS
    fleet.server.run(f"set -e; cd /root; {RESTORE}")
    api.wait_for(CLIENTS, 90)
    assert api.status()["round"] == last["round"]
    api.generate()
    assert api.trained(api.round()["round"]) == CLIENTS
