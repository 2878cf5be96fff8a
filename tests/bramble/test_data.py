"""``bramble data``: exports that people have become recordings, and what cannot be understood is named."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from bramble import cli
from bramble_client.hal.sim import recordings

pytest.importorskip("pandas")

FOLDER = Path(__file__).with_name("exports")
HISTORY = FOLDER / "history.csv"
EXPORTS: dict[str, tuple[tuple[str, ...], str, dict[str, list[float | None]]]] = {
    "statistics": (("--map", "sensor.attic=temperature", "--every", "1h"), "2025-08-31T22:00:00Z", {"temperature": [21.5, 22.5]}),
    "weewx": ((), "2023-01-01T00:00:00Z", {"pressure": [1013.21, 1013.21], "temperature": [5.0, 6.0], "humidity": [80, 81]}),
    "netatmo": ((), "2023-01-01T00:00:00Z", {"temperature": [5.5, 5.6], "humidity": [80, 81]}),
    "dwd": ((), "2023-01-01T00:00:00Z", {"temperature": [5.0, None, 5.4], "humidity": [80, 81, 82]}),
    "noaa": ((), "2023-01-01T00:00:00Z", {"temperature": [5.0, None, -1.1], "pressure": [1013.2, 1013.1, 1013.0]}),
    "ecowitt": (
        ("--zone", "Europe/Berlin"),
        "2023-01-01T00:00:00Z",
        {"temperature": [5.0, 10.0], "humidity": [80, 81], "pressure": [1013, 1013]},
    ),
    "spreadsheet": (
        ("--map", "T1=temperature", "--map", "Feuchte=humidity"),
        "2023-01-13T00:00:00Z",
        {"temperature": [5.0, 5.4], "humidity": [80, 81]},
    ),
}  # fmt: skip
"""By the name of the file: flags, the first time, and what is in it by channel."""


def imported(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "import", *map(str, arguments)])
    assert end.value.code == code


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_becomes_a_recording_in_the_channels_own_units(name: str, tmp_path: Path) -> None:
    flags, begin, columns = EXPORTS[name]
    imported(FOLDER / f"{name}.csv", *flags, "--output", tmp_path / "room.csv")
    recording = recordings.load(tmp_path / "room.csv")
    assert recording.first == datetime.fromisoformat(begin).timestamp()
    assert set(recording.channels) == set(columns)
    for key, expected in columns.items():
        _, [*found] = recording.samples([key])
        for value, wanted in zip(found, expected, strict=True):
            assert value[0] == (pytest.approx(wanted, abs=0.02) if wanted is not None else pytest.approx(float("nan"), nan_ok=True)), key


def test_a_history_holds_a_state_until_it_changes_and_has_a_gap_where_a_sensor_was_away(tmp_path: Path) -> None:
    imported(HISTORY, "--map", "sensor.attic=temperature", "--every", "5m", "--output", tmp_path / "attic.csv")
    lines = (tmp_path / "attic.csv").read_text().splitlines()
    assert lines[0] == "time,temperature"
    assert [line.partition(",")[2] for line in lines[1:]] == ["21.5", "21.5", "", "", "", "", "21.7", "21.7", "21.9"]


def test_the_preview_says_what_it_is_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export.csv").write_text((FOLDER / "dwd.csv").read_text())
    imported(tmp_path / "export.csv")
    said = capsys.readouterr().out
    assert said.startswith("hourly values of DWD: 3 rows from 2023-01-01 00:00 UTC to 2023-01-01 02:00 UTC, 0 gaps\n")
    assert [line.split() for line in said.splitlines() if line.strip().startswith("temperature")] == [
        ["temperature", "°C", "2", "1", "5", "5.4"]
    ]
    assert said.endswith("Nothing is written: say where with --output.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["export.csv"]


@pytest.mark.parametrize(
    ("text", "flags", "sentence"),
    [
        (
            HISTORY.read_text(),
            (),
            "say which sensor is which channel, as in --map 'sensor.attic=temperature': it has sensor.attic, sensor.hall",
        ),
        (
            HISTORY.read_text(),
            ("--map", "sensor.cellar=temperature"),
            "--map names 'sensor.cellar', which is not there; there are sensor.attic",
        ),
        (
            HISTORY.read_text().replace("21.7", "open"),
            ("--map", "sensor.attic=temperature"),
            "sensor.attic says 'open', which is no number",
        ),
        ((FOLDER / "ecowitt.csv").read_text(), (), "has local times; say whose with --zone, such as --zone Europe/Berlin"),
        ((FOLDER / "ecowitt.csv").read_text(), ("--zone", "Europe/Nowhere"), "'Europe/Nowhere' says neither"),
        ("time,T1\n2023-01-01,5\n", ("--map", "T1"), "--map 'T1' is not COLUMN=CHANNEL"),
        ("time,T1\n2023-01-01T00:00,5\n", (), "'T1' is not a channel"),
        ("dateTime,usUnits,outTemp\n1,1,41\n2,16,5\n", (), "usUnits says 1, 16; export rows of one system"),
        ("time;a,b\n1;2;3;4\n", (), "is no table: line 2 has 4 columns, and the names 2"),
        ("", (), "is empty"),
        ("PK\x03\x04", (), "is a workbook or an archive"),
    ],
)
def test_what_cannot_be_understood_is_named_with_the_remedy(
    text: str, flags: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export.csv").write_text(text, "utf-8")
    imported(tmp_path / "export.csv", *flags, "--output", tmp_path / "room.csv", code=1)
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("bramble: data import: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "room.csv").exists()


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export.csv").write_text((FOLDER / "dwd.csv").read_text())
    (tmp_path / "room.csv").write_text("mine")
    imported(tmp_path / "export.csv", "--output", tmp_path / "room.csv", code=1)
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "room.csv").read_text() == "mine"


def test_what_a_client_mirrored_comes_back_as_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"temperature": ([0.0, 60.0], [20.5, None]), "humidity": ([60.0], [50.0]), "temperature.forecast": ([60.0], [21.0])}
    answer = {"pi-1": {key: {"unit": "", "t": t, "value": values} for key, (t, values) in columns.items()}}
    monkeypatch.setattr("bramble.connection.Fleet.columns", lambda self, client: answer if client == "pi-1" else {})
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "export", "pi-1", "--output", str(tmp_path / "attic.csv")])
    assert end.value.code == 0
    lines = (tmp_path / "attic.csv").read_text().splitlines()
    assert lines == ["time,temperature,humidity", "1970-01-01T00:00:00Z,20.5,", "1970-01-01T00:01:00Z,,50.0"]
    with pytest.raises(SystemExit):
        cli.main(["data", "export", "pi-2", "--output", str(tmp_path / "hall.csv")])
    assert not (tmp_path / "hall.csv").exists()
