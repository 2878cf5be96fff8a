"""``bramble experiment``: a grid of simulations that can be stopped and gone on with, and a report that says how to repeat it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bramble import cli
from bramble.settings import WorkersSettings
from bramble.simulation import grid, report
from tests.bramble.simulated import recorded

SMALL = """title = "Two of them"

[simulate]
clients = 7
rounds = 3
data = "weather"

[grid]
strategy = ["fedavg", { name = "fedprox", mu = 0.5 }]
seed = [1, 2]
"""
draws = pytest.mark.process
"""The first plot that is drawn on a machine asks it, in a process, which fonts there are."""
EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "experiments").glob("*.toml"))


def written(folder: Path) -> Path:
    """Write the experiment and its weather into a folder."""
    (folder / "weather").mkdir()
    for name in ("attic", "cellar", "shed"):
        recorded(folder / "weather" / f"{name}.csv", phase=len(name))
    path = folder / "two.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The experiment, run once for all who ask what comes after that, and what the command said."""
    path = written(tmp_path_factory.mktemp("once"))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        bramble(path)
    return path, said.getvalue()


@pytest.fixture
def ran(once: tuple[Path, str], tmp_path: Path) -> tuple[Path, Path]:
    """The same, to go on with: another file beside the weather, and a copy of the results."""
    file = once[0].with_name(f"{tmp_path.name}.toml")
    file.write_text(SMALL)
    return file, Path(shutil.copytree(once[0].with_suffix(""), tmp_path / "results"))


def bramble(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["experiment", *map(str, arguments)])
    assert end.value.code == code


def cells(folder: Path) -> list[dict[str, str]]:
    with (folder / "cells.csv").open(newline="") as table:
        return list(csv.DictReader(table))


@draws
def test_a_grid_becomes_a_table_curves_and_a_page(once: tuple[Path, str]) -> None:
    folder, out = once[0].with_suffix(""), once[1]
    rows = cells(folder)
    assert [(row["cell"], row["seed"]) for row in rows] == [(cell, seed) for cell in ("fedavg", "fedprox (mu=0.5)") for seed in ("1", "2")]
    assert len({row["digest"] for row in rows}) == 4
    page = (folder / "report.md").read_text()
    assert page.startswith("# Two of them\n\n7 clients, simulated, 2 cells of 2 seeds (1, 2).")
    assert "bramble experiment two.toml" in page
    assert all(f"`{row['digest']}`" in page for row in rows)
    mean = sum(float(row["error"]) for row in rows[:2]) / 2
    assert f"| {mean:.3f} ± " in page
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "curves.svg").read_text().startswith("<?xml")
    assert all(f"{folder}/{name}" in out for name in ("report.md", "cells.csv", "curves.png", "curves.svg"))


def repeats(errors: Sequence[float], **values: object) -> report.Repeats:
    """What one seed of a cell came to, round by round, where the baseline is at 3."""
    return report.Repeats(
        grid.Cell(values, {}), {1: {"baseline": 3.0}}, {1: [{"error": str(e), "round": str(n)} for n, e in enumerate(errors)]}
    )


def test_many_cells_have_a_pane_for_each_value_of_what_the_grid_varies_first() -> None:
    few = [repeats([2.0], attack="none", rounds=n) for n in range(7)]
    assert list(report.grouped(few)) == [""]
    assert next(iter(report.grouped(few)[""])) == "none, rounds=0"
    many = [repeats([2.0], attack=attack, rounds=n) for attack in ("none", {"name": "flip", "times": 5}) for n in range(4)]
    rest = [f"rounds={n}" for n in range(4)]
    assert {what: list(group) for what, group in report.grouped(many).items()} == {"none": rest, "flip (times=5)": rest}
    alone = [repeats([2.0], rounds=n) for n in range(9)]
    assert list(report.grouped(alone)) == [""], "what varies alone stays together"


def test_an_error_far_above_the_baseline_does_not_hide_the_others() -> None:
    assert report.highest([repeats([4.0, 2.0]), repeats([2.9, 2.0])]) == pytest.approx(3.3)
    assert report.highest([repeats([3.2, 2.0]), repeats([2.9, 2.0])]) is None


@draws
def test_what_was_run_is_kept_and_what_is_new_is_run(ran: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    file, folder = ran
    before = {row["seed"]: row["digest"] for row in cells(folder) if row["cell"] == "fedavg"}
    svg = (folder / "curves.svg").read_bytes()
    bramble(file, "--out", folder)
    assert capfd.readouterr().out.count("(kept)") == 4
    bramble(file, "--out", folder, "--json")
    told = capfd.readouterr()
    assert told.err.count("(kept)") == 4
    assert {str(run["seed"]): run["digest"] for run in json.loads(told.out)["runs"] if run["cell"] == "fedavg"} == before
    assert (folder / "curves.svg").read_bytes() == svg
    file.write_text(SMALL.replace("[1, 2]", "[1, 2, 3]"))
    bramble(file, "--out", folder)
    assert capfd.readouterr().out.count("(kept)") == 4
    rows = cells(folder)
    assert len(rows) == 6
    assert before.items() <= {row["seed"]: row["digest"] for row in rows if row["cell"] == "fedavg"}.items()


def test_ctrl_c_keeps_what_ended_and_the_same_command_goes_on(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(SMALL.replace("rounds = 3", "rounds = 60").replace(', { name = "fedprox", mu = 0.5 }', ""))
    with subprocess.Popen([sys.executable, "-m", "bramble", "experiment", str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        assert first.startswith("fedavg, seed 1: ")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. The same command goes on with what is left." in out
    ended = len({line for line in (first + out).splitlines() if "seed" in line})
    bramble(file)
    assert capfd.readouterr().out.count("(kept)") == ended


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[grid]", "[gird]"), "line 8: nothing is called gird, did you mean grid?"),
        (("data =", "date ="), "line 6: nothing is called date, did you mean data?"),
        (("rounds = 3", "rounds = 0"), "line 5: rounds: input should be greater than or equal to 1, got '0'"),
        (("seed = [1, 2]", "seed = [1, 1]"), "line 10: seed: 1 is there twice; leave one of them out"),
        (("seed = [1, 2]", "seed = 1"), "line 10: seed: expected a list of values, such as seed = [1]"),
        (("seed = [1, 2]", "seed = []"), "line 10: seed: expected a list of values"),
        (("seed = [1, 2]", "seed = [1, -2]"), "line 10: seed: input should be greater than or equal to 0, got '-2'"),
        (("seed = [1, 2]", "clients = [7, 8]"), "clients is in both [simulate] and [grid]; leave one of them out"),
        (("rounds = 3", "workers = 2"), "line 5: nothing is called workers"),
        (("mu = 0.5", "mu = -1"), "mu of fedprox is a number, 0 to 1000, got '-1'"),
        (('"fedavg"', '"fedavgg"'), "did you mean 'fedavg'?"),
        (("rounds = 3", 'scenario = "storm.toml"'), "scenario: cannot read"),
        (("strategy =", "fleet ="), "line 9: nothing is called fleet"),
        (("strategy = [", "fleet = [{ clients = 9 }]\nstrategy = ["), "clients is in both [simulate] and [grid]"),
        (("strategy = [", "fleet = [{ epoch = 9 }]\nstrategy = ["), "nothing is called epoch, did you mean epochs?"),
        (("strategy = [", "fleet = [{ strategy = 9 }]\nstrategy = ["), "strategy is set in fleet and elsewhere"),
        (("title =", "title ="), "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_before_anything_is_run(
    file: Path, capfd: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    wrong = SMALL.replace(*change) if change[0] != change[1] else "title = \n"
    file.write_text(wrong)
    bramble(file, code=1)
    assert said in capfd.readouterr().err
    assert not file.with_suffix("").exists()


@draws
def test_no_others_results_are_touched(ran: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file, folder = ran
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").touch()
    bramble(file, "--out", thesis, code=1)
    assert "is not empty, and holds no experiment; name another folder with --out" in capfd.readouterr().err
    file.write_text(SMALL.replace("Two of them", "Two others"))
    bramble(file, "--out", folder, code=1)
    assert "holds another experiment, 'Two of them'" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("example", [path for path in EXAMPLES if "[grid]" in path.read_text()], ids=lambda path: path.stem)
def test_the_examples_can_begin(example: Path) -> None:
    found = grid.read(example, WorkersSettings(workers=1))
    assert len(found.seeds) == 3
    assert len(found.cells) >= 3


@draws
def test_an_example_runs_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in EXAMPLES:
        shutil.copy(path, tmp_path)
    file = tmp_path / "compression.toml"
    (tmp_path / "storm.toml").write_text("lost = 0.1\n")
    text = file.read_text().replace("[simulate]", '[simulate]\nscenario = "storm.toml"').replace("[1, 2, 3]", "[1]")
    file.write_text(text.replace("rounds = 20", "rounds = 1").replace('"int8", "delta-int8", ', ""))
    monkeypatch.chdir("/")
    bramble(file, "--out", tmp_path / "out")
    summaries = [json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").glob("*/summary.json")]
    assert {summary["settings"]["scenario"]["lost"] for summary in summaries} == {0.1}
