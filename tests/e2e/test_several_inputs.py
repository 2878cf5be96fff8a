"""A task of several inputs and targets, whose layers keep a state, on a real server and a real client."""

from __future__ import annotations

from pathlib import Path

from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

SEVERAL = Path(__file__).parents[1] / "runtimes" / "references" / "several.tflite"


def test_a_fleet_learns_it_round_by_round(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--task", str(SEVERAL), "--min-clients", "1", "--epochs", "5") as server,
        ClientProcess(server.url, tmp_path) as client,
    ):
        client.wait_connected()
        server.measure(200)
        records = [server.ended(server.get("/")["round"]) for _ in range(3)]
        assert [record["state"] for record in records] == ["committed"] * 3
        losses = [record["metrics"]["loss_after"] for record in records]
        assert losses[2] < losses[1] < losses[0] < records[0]["metrics"]["loss_before"]
        part = records[0]["clients"]["pi-1"]
        # 24 bins before the window's end and 3 behind it, and one that may still fill
        assert part["samples"] == 200 - 1 - 23 - 3
        assert server.get("/status")["manifest"]["interface"]["targets"][0]["horizons"] == [1, 3]

        def mirrored() -> int:
            return len(server.api.readings()["pi-1"].get("temperature.forecast", {"t": []})["t"])

        wait_for(lambda: mirrored() == part["samples"], "the forecasts of its first target")
