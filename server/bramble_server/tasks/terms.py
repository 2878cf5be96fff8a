"""What may be said in place of a task's own numbers: how far ahead, how long a bin, how many of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Terms:
    """Numbers in place of a task's own; None leaves it that. A task takes those that its ``__init__`` has by their names.

    An exported graph goes with any horizon and any length of a bin, which are in its manifest alone; with another window it is another one.
    """

    horizon: int | None = None
    """Bins to forecast ahead."""
    step_s: float | None = None
    """Seconds of a bin."""
    window: int | None = None
    """Bins of a window."""

    @property
    def given(self) -> dict[str, float]:
        """Those that are given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


OWN = Terms()
"""All as the task has it."""


def setting(name: str) -> str:
    """Return what the setting is called that says one of them."""
    return name.removesuffix("_s")
