from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from bramble_inspector import runs
from bramble_inspector.figures import overlay
from bramble_inspector.runs import Run, Runs
from tests.inspector.conftest import Watched
from tests.inspector.standin import Standin

HEAD = "round,state,error,loss_before,loss_after,bytes,reason\n"


def write(folder: Path, errors: list[float | str], finished: bool = True, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps({"settings": settings, "finished": finished}))
    rows = [f"{place},committed,{error},0.5,0.4,100,\n" for place, error in enumerate(errors, 1)]
    (folder / "rounds.csv").write_text(HEAD + "".join(rows))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write(tmp_path / "exp/runs" / f"fedavg-seed{seed}", [3.0, 2.0, 1.0 + seed], strategy="fedavg", seed=seed, clients=5)
    write(tmp_path / "exp/runs/fedprox-seed0", [3.0], False, strategy="fedprox", seed=0, clients=5, mu=0.1)
    return tmp_path


def test_runs_that_differ_by_their_seed_alone_are_one_kind_named_by_what_tells_it_from_others(folder: Path) -> None:
    kinds = runs.kinds(Runs(folder).look())
    assert {kind: [run.seed for run in members] for kind, members in kinds.items()} == {"fedavg": ["0", "1"], "fedprox, mu 0.1": ["0"]}
    assert [run.finished for run in kinds["fedprox, mu 0.1"]] == [False]


def test_a_kind_is_drawn_by_each_seed_and_their_mean(folder: Path) -> None:
    drawn = {trace["name"]: trace["y"] for trace in overlay.figure(runs.kinds(Runs(folder).look()), "error", 1)["data"]}
    assert drawn["fedavg (2 seeds)"] == [3.0, 2.0, 1.5]
    assert drawn["fedavg, seed 1"] == [3.0, 2.0, 2.0]
    assert drawn["fedprox, mu 0.1"] == [3.0]


def test_smoothing_is_over_what_was_and_makes_up_nothing() -> None:
    assert runs.smoothed([4.0, 2.0, None, 6.0], 2) == [4.0, 3.0, None, 6.0]
    assert runs.smoothed([4.0, 2.0], 1) == [4.0, 2.0]


def test_a_run_grows_under_the_eyes_and_is_read_again_only_then(folder: Path) -> None:
    known = Runs(folder)
    before = {run.name: run for run in known.look()}
    path = folder / "exp/runs/fedprox-seed0/rounds.csv"
    path.write_text(path.read_text() + "2,committed,2.5,0.5,0.4,100,\n3,commit")
    after = {run.name: run for run in known.look()}
    changed = [name for name in after if after[name] is not before[name]]
    assert changed == ["exp/runs/fedprox-seed0"]
    assert after[changed[0]].rounds["error"] == [3.0, 2.5], "a line that is still being written is left out"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": 3}', '{"settings": {}}', "\x00"])
def test_what_is_no_run_takes_nothing_from_the_others(folder: Path, content: str) -> None:
    write(folder / "odd", ["nan", "much", ""])
    (folder / "odd/summary.json").write_text(content)
    assert "exp/runs/fedprox-seed0" in [run.name for run in Runs(folder).look()]
    overlay.figure(runs.kinds(Runs(folder).look()), "error", 5)


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert Runs(None).look() == Runs(tmp_path / "gone").look() == []


def test_kinds_beyond_the_colours_are_told_apart_by_dashes() -> None:
    kinds = {str(place): [Run(str(place), {}, {"round": [1.0], "error": [1.0]}, True, "")] for place in range(20)}
    looks = {(trace["line"]["color"], trace["line"]["dash"]) for trace in overlay.figure(kinds, "error", 1)["data"]}
    assert len(looks) == 20


@pytest.mark.browser
def test_runs_are_drawn_live_and_every_plot_and_table_can_be_taken_along(
    standin: Standin, inspect: Callable[..., str], watched: Watched, folder: Path
) -> None:
    page = watched.open(inspect(standin.url) + "experiments")
    expect(page.locator("#overlay-note")).to_contain_text("Start the inspector with --experiments DIR")
    page.goto("about:blank")  # what it still asks for is not for the inspector that takes the place of this one
    page = watched.open(inspect(standin.url, experiments=folder) + "experiments")
    expect(page.locator("#overlay .scatterlayer .trace")).to_have_count(4)
    write(folder / "new", [2.0], False, strategy="median", seed=0, clients=5)
    expect(page.locator("#overlay .scatterlayer .trace")).to_have_count(5)
    page.get_by_role("textbox", name="Kinds of runs").click()
    page.get_by_role("option", name="median", exact=False).first.click()
    expect(page).to_have_url(re.compile("kinds=median"))
    expect(page.locator("#overlay .scatterlayer .trace")).to_have_count(1)
    page.reload()
    expect(page.locator("#overlay .scatterlayer .trace")).to_have_count(1)
    page.goto(page.url.split("?")[0])
    expect(page.locator("#overlay .scatterlayer .trace")).to_have_count(5)
    said = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Runs as {kind}", exact=True).click()
        assert download.value.suggested_filename == f"bramble-runs.{kind.lower()}"
        said[kind] = Path(download.value.path()).read_bytes()
    assert said["PNG"].startswith(b"\x89PNG")
    assert b"<svg" in said["SVG"]
    assert b"median,1,2,\r\n" in said["CSV"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Runs in numbers as CSV").click()
    assert b"median,0,1,2," in Path(download.value.path()).read_bytes()
