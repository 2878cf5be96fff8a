"""``import bramble`` is what programs begin with, and costs a Pi's client nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bramble
from bramble import frames
from bramble.connection import Fleet
from bramble_protocol import tables
from tests.bramble.simulated import recorded


def test_what_it_offers_is_there_by_its_short_name() -> None:
    assert {name: getattr(bramble, name).__name__ for name in bramble.__all__} == {name: name for name in bramble.__all__}
    assert set(bramble.__all__) == set(bramble._FROM)
    with pytest.raises(AttributeError, match="has no attribute 'Servers'"):
        _ = bramble.Servers


def test_it_is_loaded_when_it_is_asked_for() -> None:
    heavy = "('bramble.api', 'bramble.connection', 'bramble.offline', 'numpy', 'pandas', 'pydantic')"
    code = f"import bramble, sys; print([name for name in {heavy} if name in sys.modules]); bramble.Fleet; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"


class Standing:
    """Answers as a server with 2,500 rounds and three channels does."""

    url = "http://standing"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def status(self, task: str | None = None) -> dict[str, Any]:
        return {"manifest": {"target": "temperature", "step_s": 60.0}, "forecast": "temperature.forecast"}

    def rounds(self, since: int, limit: int, task: str | None, clients: bool, order: str) -> list[dict[str, Any]]:
        self.asked.append(since)
        about = {"task": "climate", "state": "committed", "started": 1.0, "ended": 2.0, "clients": {}}
        return [{"round": number, **about} for number in range(since + 1, min(since + limit, 2500) + 1)]

    def readings(
        self, since: float | None = None, limit: int | None = None, client: str | None = None, order: str | None = None
    ) -> dict[str, Any]:
        columns: dict[str, tuple[list[float], list[float | None]]] = {
            "temperature": ([0.0, 30.0, 60.0, 90.0], [20.0, 22.0, None, 25.0]),
            "temperature.forecast": ([45.0, 75.0, 135.0], [20.5, 24.0, 26.0]),
            "humidity": ([0.0], [50.0]),
        }
        kept = {name: [(t, v) for t, v in zip(*both, strict=True) if since is None or t > since] for name, both in columns.items()}
        return {"pi-1": {name: {"unit": "°C", "t": [t for t, _ in rows], "value": [v for _, v in rows]} for name, rows in kept.items()}}


@pytest.fixture
def standing() -> Standing:
    return Standing()


@pytest.fixture(params=["pandas", "no pandas"])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read a table as a list of dicts, with pandas and without."""
    if request.param == "no pandas":
        monkeypatch.setitem(sys.modules, "pandas", None)
        return list
    pytest.importorskip("pandas")
    return lambda frame: frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_a_history_is_whole_and_read_page_by_page(standing: Standing, rows: Any) -> None:
    found = rows(Fleet(standing).rounds())  # type: ignore[arg-type]
    assert [row["round"] for row in found] == list(range(1, 2501))
    assert standing.asked == [0, 1000, 2000, 2500]
    assert list(found[0]) == list(tables.COLUMNS["rounds"])


def test_readings_are_rows_of_one_channel_if_one_is_asked_for(standing: Standing, rows: Any) -> None:
    fleet = Fleet(standing)  # type: ignore[arg-type]
    assert len(rows(fleet.readings())) == 8
    assert [row["value"] for row in rows(fleet.readings(channel="temperature", since=0.0))] == [22.0, None, 25.0]


def test_forecasts_stand_beside_the_mean_of_their_bin(standing: Standing, rows: Any) -> None:
    found = rows(Fleet(standing).predictions())  # type: ignore[arg-type]
    assert [(row["forecast"], row["measured"], row["difference"]) for row in found] == [
        (20.5, 21.0, -0.5), (24.0, 25.0, -1.0), (26.0, None, None),
    ]  # fmt: skip


def test_with_pandas_an_empty_table_has_columns_and_times_are_times() -> None:
    pd = pytest.importorskip("pandas")
    for name, columns in tables.COLUMNS.items():
        frame = frames.table(name, [])
        assert list(frame.columns) == list(columns)
        for column in set(columns) & {"started", "ended", "time", "last_seen"}:
            assert isinstance(frame[column].dtype, pd.DatetimeTZDtype)


def test_an_address_that_is_none_and_a_server_that_is_not_there_are_said() -> None:
    with pytest.raises(bramble.BrambleError, match="expected the server's address"):
        bramble.connect("ftp://somewhere")
    with pytest.raises(bramble.ServerDown, match="start one with `bramble server`"):
        bramble.connect("http://127.0.0.1:9")


@pytest.mark.slow
def test_a_simulation_is_a_call(tmp_path: Path, rows: Any) -> None:
    for name in ("attic", "cellar"):
        recorded(tmp_path / f"{name}.csv", phase=len(name))
    told: list[int] = []
    found = bramble.simulate(lambda row: told.append(row["round"]), clients=3, rounds=2, data=str(tmp_path), workers=1)
    assert told == [row["round"] for row in rows(found.rounds)] == [1, 2]
    assert len(rows(found.clients)) == 6
    assert found.summary["finished"]


def test_a_setting_that_a_simulation_does_not_know_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bramble.BrambleError, match="did you mean 'strategy'"):
        bramble.simulate(stategy="fedavg")
    monkeypatch.setenv("BRAMBLE_SIMULATE_TASK", "nonsense")
    with pytest.raises(bramble.BrambleError, match="rounds: input should be greater than or equal to 1"):
        bramble.simulate(rounds=0)


@pytest.mark.slow
@pytest.mark.process
def test_an_experiment_is_a_call(tmp_path: Path, rows: Any) -> None:
    (tmp_path / "weather").mkdir()
    recorded(tmp_path / "weather" / "attic.csv")
    file = tmp_path / "two.toml"
    file.write_text('[simulate]\nclients = 2\nrounds = 2\ndata = "weather"\n[grid]\nseed = [1, 2]\n')
    found = bramble.experiment(file, workers=1)
    assert [row["seed"] for row in rows(found.cells)] == [1, 2]
    assert [(row["seed"], row["round"]) for row in rows(found.rounds)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (found.folder / "report.md").exists()
