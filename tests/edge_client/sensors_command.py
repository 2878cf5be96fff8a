"""``bramble sensors`` in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from bramble_client.commands.sensors import app


def run(*arguments: str, code: int = 0) -> str:
    """Run it, and return what it prints; fail if it ends with another code."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output
