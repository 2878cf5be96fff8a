"""Rows as a data frame, where pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from bramble_protocol import tables
from bramble_protocol.tables import Row

Table: TypeAlias = Any
"""A pandas ``DataFrame``, or a list of dicts where pandas is not installed. It is none of the two to a type checker, for which of them it
is is decided where a program runs."""

PREDICTIONS = ("client", "time", "target", "unit", "forecast", "measured", "difference")


def table(name: str, rows: Iterable[Row], columns: Sequence[str] | None = None) -> Table:
    """Return rows as a data frame, or as a list of dicts where pandas is not installed.

    Parameters
    ----------
    name
        Which table it is; that says the columns, unless they are given.
    """
    names = columns or (PREDICTIONS if name == "predictions" else tables.COLUMNS[name])
    found = [{column: row[column] for column in names} for row in rows]
    try:
        import pandas as pd
    except ModuleNotFoundError:
        return found
    frame = pd.DataFrame(found, columns=list(names))
    for column in frame.columns.intersection([*TIMES]):
        frame[column] = pd.to_datetime(frame[column], utc=True)  # all of them unknown too, so that a column is of one kind always
    return frame


TIMES = ("started", "ended", "sent", "received", "train_start", "train_end", "replied", "since", "last_seen", "time")
