"""``bramble client latest``: what a client's file says, in a line for each task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bramble.cli import main
from bramble_client.use.latest import Latest

FOUND = {
    "round": 7, "in_use": "personal", "measured": 1_672_531_200.0, "for": 1_672_542_000.0, "target": "temperature", "unit": "°C",
    "outputs": {"y": 21.53},
}  # fmt: skip


def test_a_line_says_what_comes_when_and_by_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Latest(tmp_path / "latest.json", "pi-1", lambda: 0.0).tell("climate", FOUND)
    with pytest.raises(SystemExit):
        main(["client", "latest", "--file", str(tmp_path / "latest.json")])
    assert capsys.readouterr().out == (
        "climate: temperature for 2023-01-01 03:00 UTC: y 21.53 °C; by personal, model of round 7, measured until 2023-01-01 00:00 UTC\n"
    )


def test_as_json_it_is_what_the_client_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Latest(tmp_path / "latest.json", "pi-1", lambda: 0.0).tell("climate", FOUND)
    with pytest.raises(SystemExit):
        main(["client", "latest", "--json", "--file", str(tmp_path / "latest.json")])
    assert json.loads(capsys.readouterr().out)["tasks"] == {"climate": FOUND}


@pytest.mark.parametrize(
    ("content", "why"), [(None, "there is no "), ("{", "is not the latest.json"), ('{"format": 2}', "is not the latest")]
)
def test_what_cannot_be_read_is_said_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, why: str
) -> None:
    path = tmp_path / "latest.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["client", "latest", "--file", str(path)])
    assert ended.value.code == 1
    assert why in capsys.readouterr().err
