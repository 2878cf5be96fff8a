"""An installed distribution is packed into the wheel that it came in."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

from bramble.quickstart.own_wheel import packed

INFO = "bramble_fl-1.2.dist-info"
FILES = {
    "bramble/__init__.py": b"",
    "bramble/data.bin": bytes(range(256)),
    f"{INFO}/METADATA": b"Metadata-Version: 2.4\nName: bramble-fl\nVersion: 1.2\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
ADDED = {f"{INFO}/INSTALLER": b"pip\n", f"{INFO}/direct_url.json": b"{}", "bramble/__pycache__/__init__.pyc": b"x", "../bin/bramble": b"#!"}
"""What an installation brings along."""


def installed(folder: Path) -> Distribution:
    for name, content in {**FILES, **ADDED}.items():
        (folder / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "lib" / name).write_bytes(content)
    (folder / "lib" / INFO / "RECORD").write_text("".join(f"{name},,\n" for name in [*FILES, *ADDED, f"{INFO}/RECORD"]))
    return Distribution.at(folder / "lib" / INFO)


def test_the_wheel_has_the_files_and_their_digests_and_nothing_that_an_installation_adds(tmp_path: Path) -> None:
    path = packed(installed(tmp_path), tmp_path)
    assert path.name == "bramble_fl-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")} == FILES
        record = {row[0]: row[1:] for row in csv.reader(io.StringIO(archive.read(f"{INFO}/RECORD").decode()))}
    assert record.keys() == {*FILES, f"{INFO}/RECORD"}
    assert record["bramble/data.bin"] == ["sha256=QK_y6dLYki5Hr9RkjmlnSXFYeF-9Hahw5xECZr-USIA", "256"]


def test_equal_files_make_equal_wheels(tmp_path: Path) -> None:
    distribution = installed(tmp_path)
    digests = {hashlib.sha256(packed(distribution, tmp_path).read_bytes()).hexdigest() for _ in range(2)}
    assert len(digests) == 1
