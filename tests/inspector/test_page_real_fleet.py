"""The whole way: simulated sensors, the code of a Pi, the server, the page."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import warm
from tests.inspector.conftest import RealServer, Watched, at, traces
from tests.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = ["pi-attic", "pi-cellar"]


def test_two_real_clients_sample_forecast_and_learn_before_the_readers_eyes(
    start_server: Callable[..., RealServer], inspect: Callable[..., str], watched: Watched, tmp_path: Path, cleanup: ExitStack
) -> None:
    server = start_server("--min-clients", "2", "--min-updates", "2")
    for name in NAMES:
        command = ["--server", server.url, "--id", name, "--sensors", "mock", "--data-dir", str(tmp_path / name)]
        client = warm.Popen("bramble_client", *command, stdout=subprocess.DEVNULL, cwd=warm.ROOT)
        cleanup.callback(client.wait, 20)
        cleanup.callback(client.terminate)
    page = watched.open(inspect(server.url))
    expect(at(page, "#card-clients")).to_have_text("2")
    for number in (1, 2, 3):
        page.locator("#count").fill("240")
        page.get_by_role("button", name="Generate").click()
        expect(at(page, "#data-line")).to_contain_text("until 2023-01-" + f"{10 * number:02d}")
        page.get_by_role("button", name="Start round").click()
        expect(at(page, "#round-line")).to_contain_text(f"idle; round {number} averaged 2 updates")

    def forecast() -> bool:
        drawn = traces(page, "forecast")  # a forecast of what is still to come is there before those of the round
        return len(drawn) == 4 and all(sum(v is not None for v in trace["y"]) > 200 for trace in drawn.values())

    wait_for(forecast, "the forecasts")
    kept = server.api.readings()
    for name in NAMES:
        for kind, key in (("measured", "temperature"), ("forecast", "temperature.forecast")):
            drawn = traces(page, "forecast")[f"{name} {kind}"]
            column = {t * 1000: v for t, v in zip(kept[name][key]["t"], kept[name][key]["value"], strict=True)}
            points = {t: v for t, v in zip(drawn["x"], drawn["y"], strict=True) if v is not None}
            assert len(points) > 200
            assert points.items() <= column.items()
    rounds = server.api.rounds()
    tested = {entry["round"]: math.sqrt(entry["metrics"]["test_error"]) for entry in rounds}
    wait_for(lambda: traces(page, "error")["global model"]["x"] == [1, 2, 3], "the error")
    assert traces(page, "error")["global model"]["y"] == pytest.approx([tested[number] for number in (1, 2, 3)])
