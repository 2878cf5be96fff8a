"""Recordings as people have them: each is read right, or refused in a sentence that names line, column and remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bramble_client.hal import open_board
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.readings import Quality
from bramble_client.hal.sim.recordings import load

FILES = Path(__file__).with_name("people")
JANUARY = 1_672_531_200.0
"""2023-01-01T00:00:00Z"""
HOUR = 3600.0


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def hours(path: Path, key: str, count: int, first: float = JANUARY) -> list[float | None]:
    recording = load(path)
    assert recording.first == first
    return [recording.at(first + i * HOUR)[key] for i in range(count)]


# The files that people sent


def test_milliseconds_since_1970_are_named_and_may_be_declared(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"line 2, column 'time': 1522551600000 lies outside .* milliseconds: name .* as time \(ms\)"):
        load(FILES / "epoch_ms.csv")
    text = (FILES / "epoch_ms.csv").read_text()
    for name in ("time (ms)", "timestamp_ms", "Epoch [ms]"):
        assert load(written(tmp_path, text.replace("time", name, 1))).first == 1_522_551_600


def test_hours_written_without_marks_are_hours() -> None:
    assert hours(FILES / "yyyymmddhh.csv", "temperature", 3) == [1.0, 2.0, 3.0]
    assert load(FILES / "yyyymmddhh.csv").at(JANUARY + 24 * HOUR)["temperature"] == 9.0


@pytest.mark.parametrize(("name", "missing"), [("sentinel", "-9999"), ("empty_cell", "an empty cell")])
def test_a_missing_reading_is_missing_beside_others_and_that_is_said_once(
    name: str, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert hours(FILES / f"{name}.csv", "temperature", 3) == [5.0, None, 5.4]
    assert None not in hours(FILES / f"{name}.csv", "humidity", 3)
    assert [line for line in caplog.messages if f"missing readings: {missing} 1 times" in line] == caplog.messages[:1] * 2


def test_semicolons_decimal_commas_and_a_byte_order_mark_are_unambiguous() -> None:
    assert hours(FILES / "semicolon_comma.csv", "temperature", 2) == [5.0, 5.4]
    assert hours(FILES / "semicolon_comma.csv", "humidity", 2) == [80.0, 81.0]


def test_an_export_of_home_assistant_is_named() -> None:
    with pytest.raises(RecordingError, match=r"history export of Home Assistant .* as in time,temperature,humidity"):
        load(FILES / "home_assistant.csv")


def test_units_in_the_first_line_are_converted() -> None:
    assert hours(FILES / "units_in_header.csv", "temperature", 2) == pytest.approx([5.0, 5.5556], abs=1e-4)
    assert hours(FILES / "units_in_header.csv", "pressure", 2) == pytest.approx([1013.2, 1013.2], abs=0.05)


def test_the_hour_that_comes_twice_is_named_and_a_zone_resolves_it(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"line 5, column 'time': .*daylight saving ends; give each time its offset .* time \(Europe/Berlin\)"
    ):
        load(FILES / "dst_duplicate.csv")
    text = (FILES / "dst_duplicate.csv").read_text()
    recording = load(written(tmp_path, text.replace("time", "time (Europe/Berlin)", 1)))
    values = [recording.at(recording.first + i * HOUR / 2)["temperature"] for i in range(6)]
    assert recording.first == 1_698_535_800  # 2023-10-28T23:30:00Z
    assert values == pytest.approx([9, 8.8, 8.6, 8.4, 8.2, 8.0])


def test_half_a_year_without_lines_is_a_gap_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    recording = load(FILES / "gap.csv")
    assert recording.at(JANUARY + 10.5 * HOUR)["temperature"] == pytest.approx(0.5)
    assert recording.at(JANUARY + 90 * 24 * HOUR) == {"temperature": None}
    (line,) = caplog.messages
    assert "a gap; the longest lasts 179 days, from 2023-01-02T23:00:00+00:00 to 2023-07-01T00:00:00+00:00" in line


def test_columns_that_are_no_channel_are_named_in_a_line_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert hours(FILES / "extra_columns.csv", "temperature", 2) == [5.0, 6.0]
    (line,) = caplog.messages
    assert line.endswith("columns that are no channel are left out: wind_speed, weather")


# Through a simulated chip


def test_what_is_missing_in_a_recording_is_no_reading_of_the_chip_and_its_neighbours_are_right() -> None:
    board = open_board("mock", seed="pi-1", replay=FILES / "empty_cell.csv")
    assert board.sample(JANUARY) == pytest.approx({"temperature": 5.0, "humidity": 80.0}, abs=0.05)
    sample = board.sample(JANUARY + HOUR)
    assert sample["temperature"] is None
    assert sample["humidity"] == pytest.approx(81.0, abs=0.05)
    (reading,) = [reading for reading in board.read(JANUARY + HOUR) if reading.channel == "temperature"]
    assert (reading.value, reading.quality) == (None, Quality.MISSING)
    assert board.sample(JANUARY + 2 * HOUR)["temperature"] == pytest.approx(5.4, abs=0.05)
    assert board.gone == [], "the chip is there; nobody recorded what it measures"


def test_a_gap_gives_no_reading_and_no_sensor_is_gone() -> None:
    board = open_board("mock", seed="pi-1", replay=FILES / "gap.csv")
    found = [board.sample(JANUARY + day * 24 * HOUR)["temperature"] for day in range(3, 180, 11)]
    assert found == [None] * len(found)
    assert board.sample(JANUARY + 181 * 24 * HOUR)["temperature"] is not None
    assert board.gone == []


# Times


@pytest.mark.parametrize(
    "moments",
    [
        ("20230101T000000Z", "20230101T010000Z"),
        ("20230101T0000", "20230101T0100"),
        ("20230101000000", "20230101010000"),
        ("202301010000", "202301010100"),
        ("2023-01-01 00:00", "2023-01-01 01:00"),
        ("2023-01-01T00:00:00.000Z", "2023-01-01T01:00:00.000Z"),
        ("2023-01-01T00:00:00.000000001Z", "2023-01-01T01:00:00.000000001Z"),
        ("2023-01-01 00:00:00 UTC", "2023-01-01 01:00:00 UTC"),
        ("2023-01-01 01:00:00 +0100", "2023-01-01 02:00:00 +0100"),
        ("2023-01-01T01:00:00+01:00", "2023-01-01T02:00:00+01:00"),
        ("2023-01-01t00:00:00z", "2023-01-01t01:00:00z"),
        ("2023/01/01 00:00", "2023/01/01 01:00"),
        ("2023-1-1 0:00", "2023-1-1 1:00"),
        ("01.01.2023 00:00", "01.01.2023 01:00"),
        ("1.1.2023 0:00:00", "1.1.2023 1:00:00"),
        ("2023-01-01 12:00:00 AM", "2023-01-01 1:00:00 AM"),
        ("01 Jan 2023 00:00", "01 Jan 2023 01:00"),
        ("Sun, 01 Jan 2023 00:00:00 GMT", "Sun, 01 Jan 2023 01:00:00 GMT"),
        ("1672531200", "1672534800"),
        ("1672531200.0", "1672534800.0"),
    ],
)
def test_a_time_that_can_mean_one_thing_only_is_read(tmp_path: Path, moments: tuple[str, str]) -> None:
    text = "".join(f'"{moment}",{value}\n' for moment, value in zip(moments, (1, 2), strict=True))
    plain = text.replace('"', "") if "," not in moments[0] else text
    for body in (text, plain):
        assert hours(written(tmp_path, "time,temperature\n" + body), "temperature", 2) == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("time (UTC)", 0),
        ("time_utc", 0),
        ("time (+01:00)", -1),
        ("time (UTC+1)", -1),
        ("Time [Europe/Berlin]", -1),
        ("UTC", 0),
        ("Zeitstempel", 0),
    ],
)
def test_the_first_line_may_name_the_zone(tmp_path: Path, header: str, first: int) -> None:
    path = written(tmp_path, f"{header},temperature\n2023-01-01 00:00,1\n2023-01-01 01:00,2\n")
    assert load(path).first == JANUARY + first * HOUR


def test_date_and_time_of_day_may_be_two_columns(tmp_path: Path) -> None:
    assert hours(written(tmp_path, "Date;Time;Temp\n01.01.2023;00:00;1,5\n01.01.2023;01:00;2,5\n"), "temperature", 2) == [1.5, 2.5]


def test_a_day_beyond_twelve_shows_whether_day_or_month_stands_first(tmp_path: Path) -> None:
    days_first = written(tmp_path, "time,temperature\n01/02/2023 00:00,1\n13/02/2023 00:00,2\n")
    assert load(days_first).first == 1_675_209_600  # 1 February
    months_first = written(tmp_path, "time,temperature\n02/01/2023 12:00 AM,1\n02/13/2023 12:00 PM,2\n")
    assert load(months_first).first == 1_675_209_600


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "time,temperature\n01/02/2023 00:00,1\n02/02/2023 00:00,2\n",
            "line 2, column 'time': in 01/02/2023 00:00 either the day or the month",
        ),
        (
            "time,temperature\n13/02/2023 00:00,1\n02/14/2023 00:00,2\n",
            "line 2, column 'time': the day stands first in 13/02/2023 00:00 and",
        ),
        ("time,temperature\n1672531200000000,1\n", r"probably in microseconds: name the unit in the first line, as time \(us\)"),
        ("time,temperature\n44927.5,1\n", "line 2, column 'time': 44927.5 is probably a spreadsheet's count of days: format the column"),
        ("time,temperature\n2459945.5,1\n", "is probably a Julian day"),
        ("time,temperature\n0,1\n1,2\n", "line 2, column 'time': 0 lies outside the years 1990 to 2100 as seconds since 1970"),
        ("time,temperature\n1970-01-01T00:00:00Z,1\n", "line 2, column 'time': 1970-01-01T00:00:00Z lies outside the years 1990 to 2100"),
        ("time,temperature\n2023-02-30 00:00,1\n", "line 2, column 'time': '2023-02-30 00:00' is not a time"),
        ("time,temperature\n01.01.23 00:00,1\n", "line 2, column 'time': '01.01.23 00:00' has a year of 2 digits; write it as 2023"),
        ("time,temperature\n2023-01-01 00:00 CET,1\n", "'2023-01-01 00:00 CET' is not a time; write it as"),
        ("time,temperature\n2023-01-01 13:00 PM,1\n", "has an hour that no clock of twelve hours shows"),
        ("time,temperature\n2023010123,1\n2023010124,2\n", "line 3, column 'time': '2023010124' is not a time written as"),
        ("time,temperature\n2023-10-29 02:00,1\n2023-10-29 02:00,2\n", "line 3, column 'time': .*daylight saving ends"),
        ("time,temperature\n2023-10-29 02:00Z,1\n2023-10-29 01:00Z,2\n", "line 3, column 'time': .* sort the file by time"),
        ("time (local),temperature\n2023-01-01 00:00,1\n", r"line 1, column 1: 'local' says neither; .* time \(Europe/Berlin\)"),
        ("time (Europe/Atlantis),temperature\n2023-01-01 00:00,1\n", "line 1, column 1: 'Europe/Atlantis' says neither"),
        (
            "timestamp,datetime,temperature\n1,1,1\n",
            "line 1, column 2: 'timestamp' and 'datetime' are both times; call the one that counts",
        ),
    ],
)
def test_a_time_that_can_mean_two_things_or_none_is_refused_with_the_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        load(written(tmp_path, text))


# Values


@pytest.mark.parametrize(
    "cell", ["", "NA", "N/A", "null", "None", "nan", "NaN", "-", "unavailable", "-9999", "-999.9", "9999", "99999.0", "-127"]
)
def test_what_stands_for_no_reading_is_none(tmp_path: Path, cell: str) -> None:
    text = f"time,temperature\n{JANUARY},1\n{JANUARY + HOUR},{cell}\n{JANUARY + 2 * HOUR},3\n"
    assert hours(written(tmp_path, text), "temperature", 3) == [1.0, None, 3.0]


def test_a_number_that_the_channel_can_have_is_a_reading_whatever_it_means_elsewhere(tmp_path: Path) -> None:
    text = f"time,illuminance,pressure\n{JANUARY},9999,999.9\n{JANUARY + HOUR},999,999\n"
    assert hours(written(tmp_path, text), "illuminance", 2) == [9999.0, 999.0]
    assert hours(written(tmp_path, text), "pressure", 2) == [999.9, 999.0]


@pytest.mark.parametrize(
    ("column", "cell", "complaint"),
    [
        ("pressure", "101325", r"line 3, column 'pressure': 101325 is no pressure, .* probably in Pa: .* as pressure \(Pa\)"),
        ("pressure", "29.92", r"probably in inHg: name the unit in the first line, as pressure \(inHg\)"),
        ("pressure", "101.3", "probably in kPa"),
        ("temperature", "294.6", r"line 3, column 'temperature': 294.6 is no temperature, .* probably in K"),
        ("temperature (°F)", "400", r"line 3, column 'temperature \(°F\)': 400 \(204.444 °C\) is no temperature"),
        ("humidity", "140", "line 3, column 'humidity': 140 is no humidity, which lies between 0 and 100 %; correct it"),
        ("humidity", "80 %", "line 3, column 'humidity': '80 %' is not a number; write 80 alone, and the unit in the first line"),
    ],
)
def test_what_the_channel_cannot_have_is_refused_with_the_probable_unit(tmp_path: Path, column: str, cell: str, complaint: str) -> None:
    good = "1000" if column == "pressure" else "50"
    with pytest.raises(RecordingError, match=complaint):
        load(written(tmp_path, f"time,{column}\n{JANUARY},{good}\n{JANUARY + HOUR},{cell}\n"))


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("Temperature (°F)", "41", 5.0), ("temperature_f", "41", 5.0), ("TEMP [F]", "41", 5.0), ("Temperature °C", "5", 5.0),
        ("temperature (K)", "278.15", 5.0), ("Pressure (Pa)", "101325", 1013.25), ("pressure_kpa", "101.325", 1013.25),
        ("pressure (mbar)", "1013", 1013.0), ("barometric pressure (inHg)", "29.92", 1013.2075), ("pressure (mmHg)", "760", 1013.25),
        ("Humidity (%RH)", "45", 45.0), ("Relative Humidity", "45", 45.0), ("CO2 (ppm)", "420", 420.0), ("Illuminance (lux)", "300", 300.0),
        ("current (mA)", "250", 0.25), ("voltage_mv", "3300", 3.3), ("accel_x (g)", "1", 9.80665), ("current (µA)", "50", 5e-5),
    ],
)  # fmt: skip
def test_a_unit_in_the_first_line_is_converted_and_upper_case_is_the_same(tmp_path: Path, column: str, cell: str, value: float) -> None:
    recording = load(written(tmp_path, f"time,{column}\n{JANUARY},{cell}\n"))
    assert list(recording.at(JANUARY).values()) == [pytest.approx(value, rel=1e-5)]


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("time,illuminance (W/m²)", r"line 1, column 2: 'W/m²' is no unit of illuminance that Bramble knows; it knows lx, lux"),
        ("time,temperature (°C),temperature (°F)", "line 1, column 3: .* are both temperature; take one of them away"),
        ("time temperature humidity", "the first column must be 'time', .* if spaces stand between the columns, put commas there"),
        ("statistic_id,start,mean", "an export of Home Assistant's statistics"),
        (",result,table,_time,_value,_field", "an annotated export of InfluxDB"),
    ],
)
def test_columns_that_cannot_be_understood_are_refused(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        load(written(tmp_path, header + "\n1700000000,1,2\n"))


# Files

PLAIN = "time,temperature,humidity\n2023-01-01 00:00,5.5,80\n2023-01-01 01:00,6.5,81\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace("\n", "\r"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "\t").replace(".", ","),
        PLAIN.replace("5.5", '"5,5"').replace("6.5", '"6,5"'),
        PLAIN.replace("time", '"time"').replace("2023-01-01 00:00", '"2023-01-01 00:00"'),
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("\n", ";;\n").replace(",", ";"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        "# attic, north side\n" + PLAIN + "# end\n",
        "# " + PLAIN,
        PLAIN.replace("humidity", "humidity,note").replace("80", "80,dry").replace("81", "81,"),
        PLAIN.replace("temperature,", "temperature (°C),").encode("cp1252"),
        PLAIN.replace("time,temperature,humidity", "TIME, Temperature ,HUMIDITY"),
        PLAIN.replace("time,", ",time,").replace("2023-01-01", "7,2023-01-01"),
        PLAIN + "\n\n,,\n",
    ],
    ids=[
        "CR lines", "UTF-16", "UTF-16 without mark", "semicolons and decimal commas", "tabs", "tabs and decimal commas",
        "quoted decimal comma",
        "quotes", "trailing commas", "trailing semicolons", "Excel's sep", "remarks", "names in a remark", "a note", "Windows-1252",
        "upper case", "an index", "blank lines",
    ],
)  # fmt: skip
def test_a_file_that_is_unambiguous_is_read(tmp_path: Path, data: str | bytes) -> None:
    path = written(tmp_path, data)
    assert hours(path, "temperature", 2) == [5.5, 6.5]
    assert hours(path, "humidity", 2) == [80.0, 81.0]


@pytest.mark.parametrize(("cell", "value"), [("1.013,25", 1013.25), ("1 013,25", 1013.25), ("1'013.25", 1013.25), ("1013,25", 1013.25)])
def test_marks_between_thousands_are_no_decimals(tmp_path: Path, cell: str, value: float) -> None:
    assert hours(written(tmp_path, f"time;pressure\n2023-01-01 00:00;{cell}\n"), "pressure", 1) == [value]


@pytest.mark.parametrize(
    "text",
    [
        'time,illuminance\n2023-01-01 00:00,"12,345.5"\n2023-01-01 01:00,"1,234"\n',
        "time;illuminance\n2023-01-01 00:00;12.345,5\n2023-01-01 01:00;1.234\n",
        "time;illuminance\n2023-01-01 00:00;12345,5\n2023-01-01 01:00;1.234\n",
    ],
)
def test_a_decimal_mark_seen_once_tells_what_the_other_mark_is(tmp_path: Path, text: str) -> None:
    assert hours(written(tmp_path, text), "illuminance", 2) == [12345.5, 1234.0]


def test_a_column_without_any_reading_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = load(written(tmp_path, "time,temperature,humidity\n2023-01-01 00:00,1,\n2023-01-01 01:00,2,NA\n"))
    assert recording.channels == ("temperature",)
    assert "columns without any reading are left out: humidity" in caplog.text


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ('time,pressure\n2023-01-01 00:00,"1,013"\n', "line 2, column 'pressure': '1,013' may be 1000 times as much; write it"),
        ("time;temperature\n2023-01-01 00:00;1,5\n2023-01-01 01:00;bright\n", "line 3, column 'temperature': 'bright' is not a number"),
        ("time;voltage\n2023-01-01 00:00;1,5\n2023-01-01 01:00;1.234,5.6\n", "line 3, column 'voltage'"),
        ("time;voltage\n2023-01-01 00:00;1,5\n2023-01-01 01:00;1.6\n", "line 3, column 'voltage': '1.6' has another decimal mark"),
        ("time;voltage\n2023-01-01 00:00;1.5\n2023-01-01 01:00;1,6\n", "line 3, column 'voltage': '1,6' has another decimal mark"),
        ("2023-01-01 00:00,5\n", "line 1, column 1: '2023-01-01 00:00' is no name; put a line such as time,temperature,humidity first"),
        ("time;temperature\n44927,5;5,5\n", "line 2, column 'time': 44927,5 is probably a spreadsheet's count of days"),
        (b"PK\x03\x04 workbook", "is a spreadsheet or a zip file; export it as CSV"),
        ('{"time": 1}', "is JSON; export it as CSV"),
        ("<html>", "is a web page or XML"),
        (b"time,temperature\n\x00\x01\x02", "line 2, column 1: not text .a byte 0x00.; export it as CSV"),
        (bytes(range(128, 256)) * 100, "line 1, column 1: the first column must be 'time'"),
        ("time,temperature\n2023-01-01 00:00,\n2023-01-01 01:00,NA\n", "has no reading in any line; its columns temperature are empty"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_is_refused(tmp_path: Path, data: str | bytes, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        load(written(tmp_path, data))


def test_a_long_file_is_read_as_a_short_one_and_its_mistakes_are_found_at_their_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Blocks of lines are cut into columns at once; a line that is unlike the others must not shift its neighbours."""
    caplog.set_level(logging.WARNING)
    lines = [f"{JANUARY + i:.0f},{i % 50}.25,{i % 90}" for i in range(60_000)]
    path = written(tmp_path, "time,temperature,humidity\n" + "\n".join(lines))
    recording = load(path)
    for i in (0, 12_345, 59_999):
        assert recording.at(JANUARY + i) == {"temperature": i % 50 + 0.25, "humidity": float(i % 90)}
    for bad, complaint in (
        (f"{JANUARY + 54_321:.0f},1", "1 values|2 values"),
        ("1700000000,1,2,3", "4 values"),
        (f"{JANUARY + 54_321:.0f},x,2", "'x' is"),
    ):
        broken = [*lines]
        broken[54_321] = bad
        with pytest.raises(RecordingError, match=rf"line 54323, column .*(?:{complaint})"):
            load(written(tmp_path, "time,temperature,humidity\n" + "\n".join(broken)))
    assert caplog.messages == []
