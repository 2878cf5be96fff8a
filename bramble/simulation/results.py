"""What a run leaves behind: a line a round and a line a client and round, as CSV and as Parquet, and a summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bramble.simulation.rounds import Played
from bramble.simulation.training import EPOCH
from bramble_protocol.errors import BrambleError

SUMMARY = "summary.json"
ROUNDS, CLIENTS = "rounds", "clients"


class Folder:
    """Where results go.

    Parameters
    ----------
    path
        Made if it is not there.
    settings
        What the simulation was given; it is written down before the first round, and tells its results from another's.

    Raises
    ------
    BrambleError
        If the folder holds anything but results of a simulation with the same settings, which are then replaced.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)
        self._columns: list[str] = []
        former = self._former()
        if former is not None and former != self._settings:
            differ = sorted(name for name in former.keys() | self._settings.keys() if former.get(name) != self._settings.get(name))
            raise BrambleError(f"out: {path} holds the results of another simulation (its {', '.join(differ)} differ); name another folder")
        path.mkdir(parents=True, exist_ok=True)
        self._write({})

    def _former(self) -> dict[str, Any] | None:
        if not self._path.exists():
            return None
        try:
            if not any(self._path.iterdir()):
                return None
            found: dict[str, Any] = json.loads((self._path / SUMMARY).read_text("utf-8"))["settings"]
        except NotADirectoryError:
            raise BrambleError(f"out: {self._path} is a file; name a folder") from None
        except (OSError, ValueError, KeyError, TypeError):
            raise BrambleError(f"out: {self._path} is not empty, and holds no results of a simulation; name another folder") from None
        return found

    def add(self, played: Played) -> None:
        """Note a round as soon as it is over, for whoever watches; :meth:`write` puts all of them in its place.

        Raises
        ------
        BrambleError
            If it cannot be written.
        """
        row = round_row(played)
        first, self._columns = not self._columns, self._columns or list(row)
        try:
            with (self._path / f"{ROUNDS}.csv").open("w" if first else "a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
                if first:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise BrambleError(f"out: {self._path} cannot be written to ({error.strerror})") from error

    def write(self, played: Sequence[Played], summary: Mapping[str, Any]) -> list[Path]:
        """Write what there is; return the files.

        Raises
        ------
        BrambleError
            If it cannot be written.
        """
        tables = {ROUNDS: [round_row(each) for each in played], CLIENTS: [row for each in played for row in client_rows(each)]}
        try:
            for name, rows in tables.items():
                with (self._path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, list(rows[0]) if rows else [])
                    writer.writeheader()
                    writer.writerows(rows)
            kinds = ["csv", *(["parquet"] if self._parquet(tables) else [])]
            self._write(summary)
        except OSError as error:
            raise BrambleError(f"out: {self._path} cannot be written to ({error.strerror})") from error
        return [self._path / SUMMARY, *(self._path / f"{name}.{kind}" for name in tables for kind in kinds)]

    def _write(self, summary: Mapping[str, Any]) -> None:
        text = json.dumps({"settings": self._settings, **summary}, indent=1)
        try:
            (self._path / SUMMARY).write_text(text + "\n", "utf-8")
        except OSError as error:
            raise BrambleError(f"out: {self._path} cannot be written to ({error.strerror})") from error

    def _parquet(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
        """Write the tables as Parquet, where somebody installed what does it."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError:
            return False
        for name, rows in tables.items():
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), self._path / f"{name}.parquet")
        return True


def read(folder: Path) -> dict[str, Any]:
    """Return a run's summary.

    Raises
    ------
    OSError, ValueError
        If there is none.
    """
    found: dict[str, Any] = json.loads((folder / SUMMARY).read_text("utf-8"))
    return found


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a run that came to its end before; None if it did not."""
    try:
        found = read(folder)
    except (OSError, ValueError):
        return None
    return found if found.get("finished") else None


def rounds_of(folder: Path) -> list[dict[str, str]]:
    """Return a run's rounds as its table has them."""
    with (folder / f"{ROUNDS}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def round_row(played: Played) -> dict[str, Any]:
    """Return a round as one line of a table; times are simulated seconds since the beginning."""
    return {
        "round": played.round,
        "state": played.state,
        "opened": played.opened,
        "ended": played.ended,
        "asked": played.asked,
        "delivered": played.delivered,
        **{name: played.metrics.get(name) for name in ("loss_before", "loss_after", "test_error", "test_baseline")},
        "error": played.error,
        "baseline": played.baseline,
        **{f"error_{name}": error for name, error in sorted(played.by_place.items())},
        "bytes": sum(part["bytes"] or 0 for part in played.parts.values()),
        "quarantined": played.quarantined,
        **({} if played.reached is None else {"reached": played.reached}),
        "digest": played.digest,
        "reason": played.reason,
    }


def client_rows(played: Played) -> Iterator[dict[str, Any]]:
    """Yield each client's part in a round as one line of a table."""
    for client, part in sorted(played.parts.items()):
        replied = part["replied"]
        yield {
            "round": played.round,
            "client": client,
            "answered": None if replied is None else replied - EPOCH,
            **{name: part[name] for name in ("samples", "loss_before", "loss_after", "test_error", "test_baseline", "bytes", "reason")},
        }
