"""``bramble task new``: a file to begin a task of one's own with."""

from __future__ import annotations

from pathlib import Path

import typer

from bramble_protocol import BrambleError
from bramble_protocol.fields import CLIENT_ID

FOLDER = Path(__file__).parent / "starting_points"


def new(name: str, saved: bool) -> None:
    """Write a file to begin with.

    Raises
    ------
    BrambleError
        If that is no name of a task, or there is such a file.
    """
    if not CLIENT_ID.fullmatch(name):
        raise BrambleError(f"task new: a task is called with 1 to 63 of a-z, 0-9 and '-', the first no '-', and not {name[:80]!r}")
    path = Path(f"{name.replace('-', '_')}{'.toml' if saved else '.py'}")
    text = (FOLDER / f"task{path.suffix}").read_text("utf-8")
    spoken = "".join(part.capitalize() for part in name.split("-") if part)
    text = (
        text.replace("my-task", name).replace("MyTask", f"Task{spoken}" if spoken[:1].isdigit() else spoken).replace("my_task", path.stem)
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BrambleError(f"task new: {path} cannot be made ({error.strerror}); give the task another name") from None
    typer.echo(f"{path}: change it to what your fleet should learn, then: bramble task check {path}")
