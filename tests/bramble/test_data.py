"""``bramble data``: exports that people have become recordings, and what cannot be understood is named."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from bramble import cli
from bramble_client.hal.sim import recordings

pytest.importorskip("pandas")

FOLDER = Path(__file__).with_name("exports")
T = 1672531200.0
"""2023-01-01."""
HISTORY = FOLDER / "history.csv"
Columns = dict[str, list[float | None]]
EXPORTS: list[tuple[str, tuple[str, ...], str, Columns]] = [
    ("statistics.csv", ("--map", "sensor.attic=temperature", "--every", "1h"), "2025-08-31T22:00:00Z", {"temperature": [21.5, 22.5]}),
    (
        "statistics-local.tsv",
        ("--map", "sensor.attic=temperature", "--every", "1h", "--zone", "Europe/Berlin"),
        "2024-01-26T11:00:00Z",
        {"temperature": [21, 22]},
    ),
    (
        "weewx.csv",
        (),
        "2023-01-01T00:00:00Z",
        {"pressure": [1013.21, None, 1013.21], "temperature": [5, None, 6], "humidity": [80, None, 81]},
    ),
    (
        "weewx.csv",
        ("--map", "inTemp=temperature"),
        "2023-01-01T00:00:00Z",
        {"pressure": [1013.21, None, 1013.21], "temperature": [20, 20, 20.11], "humidity": [80, None, 81]},
    ),
    (
        "weatherlink.csv",
        ("--zone", "America/New_York"),
        "2023-01-13T05:00:00Z",
        {"pressure": [1016.32, None, 1016.26], "temperature": [5, None, 6], "humidity": [80, None, 81]},
    ),
    (
        "netatmo.csv",
        (),
        "2021-05-31T22:05:02Z",
        {"temperature": [22.6] * 3, "humidity": [46] * 3, "carbon_dioxide": [981, None, 968], "pressure": [1019.1] * 3},
    ),
    ("dwd.csv", (), "2023-01-01T00:00:00Z", {"temperature": [5.0, None, 5.4], "humidity": [80, 81, 82]}),
    (
        "dwd-10-minutes.txt",
        (),
        "2023-10-01T00:00:00Z",
        {"temperature": [24.1, None, 23.9], "humidity": [48.4, None, 49], "pressure": [1002.8, None, 1002.7]},
    ),
    ("dwd-daily.txt", (), "2023-01-01T00:00:00Z", {"temperature": [9.4, 8.4], "humidity": [61, 62], "pressure": [990.2, None]}),
    # Two reports of one hour, a line without a reading, and a temperature that NOAA calls wrong
    ("noaa-isd.csv", (), "2023-01-01T00:00:00Z", {"temperature": [12.5, 12, 11.8, None], "pressure": [1013.2, None, 1013.1, 1013.1]}),
    (
        "noaa-lcd.csv",
        ("--zone", "-05:00"),
        "2023-01-01T05:54:00Z",
        {"temperature": [10, 9.44, 8.33], "humidity": [93, None, 95], "pressure": [1013.21, 1013.55, 1014.22]},
    ),
    ("noaa-gsod.csv", (), "2023-01-01T00:00:00Z", {"temperature": [12.5, None, 10], "pressure": [1013.2, None, 1010.2]}),
    ("noaa-daily.csv", ("--map", "TAVG=temperature (°C/10)"), "2023-01-01T00:00:00Z", {"temperature": [9.3, None, -1.3]}),
    # The hour that comes twice, once with the outdoor sensor away
    (
        "ecowitt.csv",
        ("--zone", "Europe/Berlin"),
        "2023-10-28T22:55:00Z",
        {"temperature": [5, 5, None, 5.56, 5.56], "humidity": [80, 80, None, 81, 81], "pressure": [1013.21] * 5},
    ),
    (
        "ecowitt.csv",
        ("--zone", "Europe/Berlin", "--map", "Indoor Temperature=temperature", "--map", "Indoor Humidity(%)=humidity"),
        "2023-10-28T22:55:00Z",
        {"temperature": [21.22, 21.22, 21.28, 21.28, 21.28], "humidity": [45] * 5, "pressure": [1013.21] * 5},
    ),
    (
        "spreadsheet.csv",
        ("--map", "T1=temperature", "--map", "Feuchte=humidity"),
        "2023-01-13T00:00:00Z",
        {"temperature": [5.0, 5.4], "humidity": [80, 81]},
    ),
    (
        "spreadsheet-dst.csv",
        ("--zone", "Europe/Berlin"),
        "2023-03-25T22:00:00Z",
        {"temperature": [5.2, 5, 4.8, None], "humidity": [80, 81, None, 82]},
    ),
    (
        "spreadsheet-us.csv",
        ("--zone", "America/New_York", "--map", "RH%=humidity"),
        "2023-01-14T04:00:00Z",
        {"temperature": [5, 5.56], "humidity": [80, 81], "pressure": [1013, 1012]},
    ),
]  # fmt: skip
"""The file, flags, the first time, and what is in it by channel. Forms as the programs write them; values are made up."""


def imported(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "import", *map(str, arguments)])
    assert end.value.code == code


@pytest.mark.parametrize(("name", "flags", "begin", "columns"), EXPORTS)
def test_an_export_becomes_a_recording_in_the_channels_own_units(
    name: str, flags: tuple[str, ...], begin: str, columns: Columns, tmp_path: Path
) -> None:
    imported(FOLDER / name, *flags, "--output", tmp_path / "room.csv")
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
    assert said.startswith("table of DWD: 3 rows from 2023-01-01 00:00 UTC to 2023-01-01 02:00 UTC, 0 gaps\n")
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
        (
            (FOLDER / "ecowitt.csv").read_text(),
            ("--zone", "Europe/Nowhere"),
            "--zone: expected a zone, such as Europe/Berlin, or an offset, such as +01:00, got 'Europe/Nowhere'",
        ),
        ((FOLDER / "noaa-daily.csv").read_text(), (), "say that of TAVG, as in --map 'TAVG=temperature (°C)'; it may be (°C), (°F), or"),
        (
            (FOLDER / "statistics-local.tsv").read_text("utf-8"),
            ("--map", "sensor.attic=temperature"),
            "is local time; say whose with --zone",
        ),
        (
            (FOLDER / "netatmo.csv").read_text().replace("1622499004", "soon"),
            (),
            "export.csv, line 5, column 'time (UTC)': 'soon' is not a time",
        ),
        ("time,T1\n2023-01-01,5\n", ("--map", "T1"), "--map 'T1' is not COLUMN=CHANNEL"),
        ("time,T1\n2023-01-01T00:00,5\n", (), "'T1' is not a channel"),
        ("dateTime,usUnits,outTemp\n1,1,41\n2,16,5\n", (), "usUnits says 1, 16; export rows of one system"),
        ("time;a,b\n1;2;3;4\n", (), "is no table: line 2 has 4 columns, and the names 2"),
        ("", (), "is empty"),
        ("PK\x03\x04", (), "is no text; unpack an archive, and save a workbook as CSV"),
        ('{"a": 1}', (), "is no table: it has one column; export it as CSV with commas, semicolons or tabs"),
        ("entity_id,state,last_changed\n", ("--map", "sensor.attic=temperature"), "history of Home Assistant without a line"),
    ],
)
def test_what_cannot_be_understood_is_named_with_the_remedy(
    text: str, flags: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export.csv").write_text(text, "utf-8")
    imported(tmp_path / "export.csv", *flags, "--output", tmp_path / "room.csv", code=1)
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith(("bramble: data import: ", "bramble: --zone: "))
    assert said.count("\n") == 1
    assert not (tmp_path / "room.csv").exists()


def test_a_program_gets_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(FOLDER / "dwd-daily.txt", "--output", tmp_path / "room.csv", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["rows"], told["gaps"], told["file"]) == ("table of DWD", 2, 0, str(tmp_path / "room.csv"))
    assert told["channels"][0] == {"channel": "pressure", "unit": "hPa", "readings": 1, "missing": 1, "least": 990.2, "most": 990.2}


def test_what_was_imported_imports_to_the_same_again(tmp_path: Path) -> None:
    imported(FOLDER / "netatmo.csv", "--output", tmp_path / "one.csv")
    imported(tmp_path / "one.csv", "--output", tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export.csv").write_text((FOLDER / "dwd.csv").read_text())
    (tmp_path / "room.csv").write_text("mine")
    imported(tmp_path / "export.csv", "--output", tmp_path / "room.csv", code=1)
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "room.csv").read_text() == "mine"


def test_what_a_client_mirrored_comes_back_as_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"temperature": ([T, T + 60], [20.5, None]), "humidity": ([T + 60], [50.5]), "temperature.forecast": ([T + 60], [21.0])}
    answer = {"pi-1": {key: {"unit": "", "t": t, "value": values} for key, (t, values) in columns.items()}}
    monkeypatch.setattr("bramble.connection.Fleet.columns", lambda self, client: answer if client == "pi-1" else {})
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "export", "pi-1", "--output", str(tmp_path / "attic.csv")])
    assert end.value.code == 0
    lines = (tmp_path / "attic.csv").read_text().splitlines()
    assert lines == ["time,temperature,humidity", "2023-01-01T00:00:00Z,20.5,", "2023-01-01T00:01:00Z,,50.5"]
    imported(tmp_path / "attic.csv", "--output", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().splitlines() == lines
    with pytest.raises(SystemExit):
        cli.main(["data", "export", "pi-2", "--output", str(tmp_path / "hall.csv")])
    assert not (tmp_path / "hall.csv").exists()
