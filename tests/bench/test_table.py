from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import names
from bench.table import Row, machine, print_table, section, update


class TestVerdicts:
    @pytest.mark.parametrize(
        ("row", "verdict"),
        [
            (Row("a", 1.5, limit=1.5), True),
            (Row("a", 1.51, limit=1.5), False),
            (Row("a", 25.0, limit=25, bound="at least"), True),
            (Row("a", 24.9, limit=25, bound="at least"), False),
            (Row("a", 3.0), None),
            (Row("a", 3.0, ok=False), False),
            (Row("a", 1.0, limit=2, ok=False), False),
        ],
    )
    def test_follow_from_the_limit_unless_given(self, row: Row, verdict: bool | None) -> None:
        assert row.verdict is verdict

    def test_are_words_in_the_table(self) -> None:
        assert [Row("a", value, limit=2).cells()[-1] for value in (1, 3)] == ["holds", "falls short"]


def test_quantities_are_short_and_have_their_unit() -> None:
    cells = [Row("a", value, "ms", limit=10).cells()[1:3] for value in (1.23456, 12, 12345.6, 0.00123)]
    assert cells == [
        ("1.23 ms", "at most 10 ms"),
        ("12 ms", "at most 10 ms"),
        ("12,346 ms", "at most 10 ms"),
        ("0.00123 ms", "at most 10 ms"),
    ]


def test_the_terminal_shows_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Row("round overhead", 2.5, "", 3.0, "a bare echo"), Row("wire", 1.01)], "overhead")
    shown = capsys.readouterr().out
    for text in ("round overhead", "2.5", "at most 3", "a bare echo", "holds", "wire", "1.01"):
        assert text in shown


def test_the_results_keep_what_did_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    update(path, {"wire": section("wire", [Row("bytes", 100, "B")]), "aggregation": section("aggregation", [Row("ratio", 1.25)])})
    update(path, {"wire": section("wire", [Row("bytes", 200, "B")])})
    text = path.read_text("utf-8")
    assert text.count("## wire") == 1
    assert "| bytes | 200 B |" in text
    assert "100 B" not in text
    assert "| ratio | 1.25 |" in text
    assert text.index("## aggregation") < text.index("## wire")
    assert text.startswith("# Measured figures\n")
    update(path, {})
    assert path.read_text("utf-8") == text


def test_a_section_says_how_and_on_what_it_was_measured() -> None:
    text = section("wire", [Row("a|b", 1)])
    assert "`python -m bench wire` on " in text
    assert machine() in text
    assert "a\\|b" in text


def test_every_module_with_a_main_is_a_benchmark() -> None:
    assert "aggregation" in names()
    assert "table" not in names()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "speed"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark speed: expected some of activity" in done.stderr
