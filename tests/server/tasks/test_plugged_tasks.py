"""Tasks that other packages bring: served by name, and a sentence for whoever asks for a broken one."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bramble import cli
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_server import foundation, tasks
from bramble_server.settings import ServerSettings
from tests.edge_client.plugin import install
from tests.server.process import NotReady, ServerProcess

GOOD = """
from bramble_server.tasks.climate import Climate

class Far(Climate):
    name = "far"

    def __init__(self, horizon=5):
        super().__init__(horizon)
"""
Plug = Callable[..., Path]


def graph(horizon: int = 5, **other: Any) -> bytes:
    """The climate task's graph as that of a task of another name that looks further ahead."""
    climate = tasks.load("climate", tasks.Terms(horizon))
    manifest = replace(climate.manifest, **{"task": "far", **other})
    return GraphFile.pack(climate.flatbuffer, manifest, climate.initial, climate.state).data


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Install a third party's package with a task; return the folder that it lies in."""

    def into(module: str = GOOD, entry: str = "far = radon_plugin:Far", data: bytes | None = None, package: str = "radon-plugin") -> Path:
        folder = install(tmp_path / package, module, package, tasks=entry)
        (folder / "far.tflite").write_bytes(graph() if data is None else data)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return folder

    return into


def listing() -> list[dict[str, Any]]:
    """Return what is listed but for Bramble's own tasks beside `climate`."""
    result = CliRunner().invoke(cli.app, ["task", "list", "--json"])
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return [item for item in found if item["name"] == "climate" or item["name"] not in tasks.TASKS]


def refused(name: str = "far", **settings: Any) -> str:
    with pytest.raises(BrambleError) as error:
        foundation.read(ServerSettings(task=name, **settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_one_is_served_by_its_name_beside_others(plug: Plug) -> None:
    folder = plug()
    served = foundation.read(ServerSettings(task=("climate", "far")))
    assert [(each.task, each.graph.manifest.horizon) for each in served] == [("climate", 3), ("far", 5)]
    assert tasks.load("far").data == (folder / "far.tflite").read_bytes()
    further = tasks.load("far", tasks.Terms(9)).manifest
    assert (further.task, further.horizon, further.interface.targets[0].horizons) == ("far", 9, (9,))
    assert further.description.startswith("Temperature 9 hours ahead")


def test_the_signatures_beside_its_graph_are_its_own(plug: Plug) -> None:
    folder = plug()
    assert tasks.signatures_of("far") == b""
    (folder / "far.tflite.sig").write_text("A" * 86 + "==\n")
    assert tasks.signatures_of("far") == b"A" * 86 + b"==\n"
    assert [item["signed"] for item in listing()] == [False, True]


def test_a_server_that_really_runs_serves_it_and_with_a_broken_one_makes_nothing(plug: Plug, tmp_path: Path) -> None:
    script = plug() / "serve.py"  # whose folder is on the server's path
    script.write_text('import runpy\n\nrunpy.run_module("bramble_server", run_name="__main__", alter_sys=True)\n')
    with ServerProcess(tmp_path, "--task", "far", script=script) as server:
        status = server.get("/status")
        assert (status["task"], status["manifest"]["horizon"], status["graph"]) == ("far", 5, GraphFile.read(graph()).sha256)
    (tmp_path / "radon-plugin" / "far.tflite").unlink()
    before = sorted(tmp_path.rglob("data/*"))
    with pytest.raises(NotReady, match=r"task: 'far' of radon-plugin 1\.0 brings no graph that can be read") as ended:
        ServerProcess(tmp_path, "--task", "climate", "--task", "far", script=script)
    assert ended.value.code == 1
    assert "Traceback" not in ended.value.said
    assert sorted(tmp_path.rglob("data/*")) == before


def test_all_are_listed_with_where_they_come_from(plug: Plug) -> None:
    folder = plug()
    built_in, far = listing()
    assert (built_in["name"], built_in["package"].split()[0]) == ("climate", "bramble-fl")
    assert (far["name"], far["package"], far["horizon"], far["graph"]) == ("far", "radon-plugin 1.0", 5, str(folder / "far.tflite"))
    assert far["sha256"] == tasks.load("far").sha256
    told = CliRunner().invoke(cli.app, ["task", "list"]).stdout
    assert (
        f"far             Temperature 5 hours ahead, from the last 24 hours of temperature, humidity and pressure\n{'':16}of radon" in told
    )


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("import no_such_module", "does not import (ModuleNotFoundError: No module named 'no_such_module'); repair or remove that package"),
        ("raise SystemExit('out')", "does not import (SystemExit: out); repair or remove that package"),
        ("Far = 7", "cannot be used: 7 is not a Task; ask its author"),
        ("class Far: pass", "cannot be used: <class 'radon_plugin.Far'> is not a Task; ask its author"),
        (f"{GOOD}\nFar = Far()", "is not a Task; ask its author"),
        (
            "from bramble_server.tasks import Task\nclass Far(Task): pass",
            "cannot be used: Far lacks baseline, error, forecast, loss, model; ask its author",
        ),
        (GOOD.replace("super().__init__(horizon)", "pass"), "cannot be used: Far lacks description, horizon, metric; ask its author"),
        (GOOD.replace("super().__init__(horizon)", "1 / 0"), "cannot be used (ZeroDivisionError: division by zero); ask its author"),
        (GOOD.replace("horizon=5", "horizon"), "cannot be used (TypeError: "),
        (GOOD.replace('"far"', '"near"'), "cannot be used: it calls itself 'near'; ask its author"),
        (
            GOOD.replace("horizon=5", "horizon=6"),
            "its graph was not exported from what it declares now; bramble task export far makes it anew",
        ),
        (f"{GOOD}\n    channels = 3", "cannot be used (TypeError: "),
        (f"{GOOD}\n    window = -1", "cannot be used: manifest.window: "),
    ],
)
def test_a_broken_one_is_a_sentence_for_whoever_asked_and_nothing_for_others(plug: Plug, module: str, sentence: str) -> None:
    plug(module)
    said = refused()
    assert said.startswith("task: 'far' of radon-plugin 1.0 ")
    assert sentence in said
    sys.modules.pop("radon_plugin", None)
    assert [each.task for each in foundation.read(ServerSettings())] == ["climate"]
    assert "radon_plugin" not in sys.modules, "it is nobody's business"
    assert [sorted(item) for item in listing()][1] == ["error", "name"]
    assert sentence in listing()[1]["error"]


def test_a_graph_that_is_missing_or_another_s_is_a_sentence(plug: Plug) -> None:
    path = plug(data=graph(task="near")) / "far.tflite"
    assert "was not exported from what it declares now" in refused()
    path.write_bytes(b"TFL3 and no more")
    assert f"task: 'far' of radon-plugin 1.0: {path}: not a graph file with a manifest" in refused()
    path.unlink()
    assert f"brings no graph that can be read ({path}: No such file or directory); bramble task export far makes one" in refused()


def test_a_horizon_that_it_does_not_take_is_a_sentence(plug: Plug) -> None:
    plug(GOOD.replace("horizon=5", "").replace("(horizon)", "(5)"))
    assert foundation.read(ServerSettings(task="far"))[0].graph.manifest.horizon == 5
    assert refused(horizon=4) == "horizon: 'far' of radon-plugin 1.0 has its own; leave it out"


def test_a_name_is_one_package_s_alone(plug: Plug) -> None:
    plug()
    plug(package="radon-too")
    assert refused() == "task: 'far' is offered by radon-plugin 1.0 and radon-too 1.0; remove all but one of them"
    assert [item["name"] for item in listing()] == ["climate", "far"]


def test_bramble_s_own_names_stay_its_own_and_whoever_offers_one_is_named(plug: Plug) -> None:
    plug("raise SystemExit", "climate = radon_plugin:Far")
    assert foundation.read(ServerSettings())[0].graph.sha256 == tasks.load("climate").sha256
    built_in, other = listing()
    assert built_in["package"].startswith("bramble-fl")
    assert other["error"] == (
        "task: 'climate' of radon-plugin 1.0 is never used, for Bramble has one of this name; ask its author for another"
    )


@pytest.mark.parametrize("name", ["Far", "far off", "far.tflite", "-far"])
def test_a_name_that_no_task_can_have_is_a_sentence_in_the_list(plug: Plug, name: str) -> None:
    plug(entry=f"{name} = radon_plugin:Far")
    assert "a task is called with 1 to 63 of a-z, 0-9 and '-'" in listing()[1]["error"]
