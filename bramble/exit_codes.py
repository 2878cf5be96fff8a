"""What the commands' exit codes mean, for scripts; ``docs/reference/command-line.md`` has them as a table."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    """It did what it was asked to."""
    FAILED = 1
    """It could not, or what it looked at is not well; the sentence on stderr or the output says what and what to do."""
    USAGE = 2
    """The command line is not one: an option or a command that there is not, or a value that is missing."""
    BROKEN = 4
    """A line of a chained file is missing or was changed."""
    INTERRUPTED = 130
    """Somebody pressed Ctrl-C."""
