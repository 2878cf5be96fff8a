"""Which strategy a server goes by: from flags, environment and file, from Bramble and from other packages."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bramble import cli, flags
from bramble_client.learn import builtin
from bramble_protocol.errors import BrambleError
from bramble_server import foundation
from bramble_server.learning import selection, strategies
from bramble_server.learning.parameters import Parameters, listed, parameter, read
from bramble_server.settings import ServerSettings
from tests.edge_client.plugin import install

TABLE = '[server.strategy]\nname = "fedavgm"\nmomentum = 0.3\nlearning-rate = 2\n'


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRATEGY", "STRATEGY_OPTION"):
        monkeypatch.delenv(f"BRAMBLE_SERVER_{name}", raising=False)


def chosen(given: dict[str, Any] | None = None, file: Path | None = None) -> tuple[str, dict[str, Any]]:
    settings = flags.load(ServerSettings, "server", given or {}, file)
    foundation.read(settings)
    choice = strategies.named(settings.strategy, settings.strategy_option)
    return choice.name, choice.set


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bramble.toml"
    path.write_text(TABLE)
    return path


class TestWhereItIsSet:
    def test_without_a_word_it_is_fedavg(self) -> None:
        assert chosen() == ("fedavg", {})

    def test_in_a_table(self, file: Path) -> None:
        assert chosen(file=file) == ("fedavgm", {"momentum": 0.3, "learning_rate": 2.0})

    def test_a_flag_changes_one_parameter_of_the_table(self, file: Path) -> None:
        assert chosen({"strategy_option": ["momentum=0.5"]}, file) == ("fedavgm", {"momentum": 0.5, "learning_rate": 2.0})

    def test_another_name_takes_the_place_of_the_whole_table(self, file: Path) -> None:
        assert chosen({"strategy": "fedprox"}, file) == ("fedprox", {"mu": 0.01})
        assert chosen({"strategy": "fedavgm", "strategy_option": ["learning-rate=3"]}, file)[1] == {"momentum": 0.9, "learning_rate": 3.0}

    def test_in_the_environment(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        monkeypatch.setenv("BRAMBLE_SERVER_STRATEGY_OPTION", "momentum=0.1, learning_rate=4")
        assert chosen(file=file) == ("fedavgm", {"momentum": 0.1, "learning_rate": 4.0})
        monkeypatch.setenv("BRAMBLE_SERVER_STRATEGY", "fedprox")
        monkeypatch.setenv("BRAMBLE_SERVER_STRATEGY_OPTION", "mu=1e-3")
        assert chosen() == ("fedprox", {"mu": 0.001})

    def test_for_one_task_in_a_table_or_by_flags(self, tmp_path: Path) -> None:
        path = tmp_path / "tracks.toml"
        path.write_text('[server.strategy]\nname = "fedprox"\n[server.track.climate.strategy]\nname = "trimmedmean"\nshare = 0.3\n')
        flagged = {"track": ["climate.strategy=trimmedmean", "climate.strategy_option=share=0.3"]}
        for settings in (flags.load(ServerSettings, "server", {}, path), flags.load(ServerSettings, "server", flagged, None)):
            [own] = [track.settings for track in foundation.read(settings)]
            choice = strategies.named(own.strategy, own.strategy_option)
            assert (choice.name, choice.set) == ("trimmedmean", {"share": 0.3})
        path.write_text('[server.track.climate.strategy]\nname = "trimmedmean"\nsahre = 0.3\n')
        with pytest.raises(BrambleError, match=r"climate.*no parameter 'sahre', did you mean 'share'"):
            foundation.read(flags.load(ServerSettings, "server", {}, path))

    def test_on_a_command_line_again_and_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[ServerSettings] = []
        monkeypatch.setattr("bramble_server.app.run", lambda settings: seen.append(settings) or 0)
        monkeypatch.setattr("bramble.permissions.own", lambda folder: None)
        options = ["--strategy-option", "momentum=0.2", "--strategy-option", "learning_rate=3"]
        result = CliRunner().invoke(cli.app, ["server", "--strategy", "fedavgm", *options])
        assert result.exit_code == 0, result.output
        assert (seen[0].strategy, seen[0].strategy_option) == ("fedavgm", {"momentum": "0.2", "learning_rate": "3"})


@dataclass(frozen=True)
class Kinds(Parameters):
    """One of each."""

    share: float = parameter(0.1, "A share.", above=0, below=0.5)
    liars: int = parameter(1, "How many.", least=0, most=10)
    strict: bool = parameter(False, "Whether.")
    free: float = parameter(2, "Anything.")


class TestParameters:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, (0.1, 1, False, 2)),
            ({"share": "0.25", "liars": "3", "strict": "true", "free": "-1e30"}, (0.25, 3, True, -1e30)),
            ({"share": 0.25, "liars": 3, "strict": True, "free": 7}, (0.25, 3, True, 7.0)),
        ],
    )
    def test_text_and_numbers_are_read(self, given: dict[str, Any], expected: tuple[Any, ...]) -> None:
        found = read(Kinds, given, "robust")
        assert tuple(getattr(found, item.name) for item in fields(found)) == expected
        assert isinstance(found.free, int if not given else float)

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"share": 0}, "share of robust is a number, above 0 and below 0.5, got '0'"),
            ({"share": 0.5}, "above 0 and below 0.5, got '0.5'"),
            ({"share": "nan"}, "got 'nan'"),
            ({"share": "much"}, "got 'much'"),
            ({"share": ""}, "got ''"),
            ({"share": None}, "got 'None'"),
            ({"free": "inf"}, "free of robust is a number, got 'inf'"),
            ({"free": "1" * 400}, "got '1111"),
            ({"liars": 2.0}, "liars of robust is a whole number, 0 to 10, got '2.0'"),
            ({"liars": "2.5"}, "got '2.5'"),
            ({"liars": 11}, "0 to 10, got '11'"),
            ({"liars": 10**400}, "0 to 10, got '1000"),
            ({"liars": True}, "got 'True'"),
            ({"liars": {"a": 1}}, "liars of robust is a whole number"),
            ({"strict": "yes"}, "strict of robust is true or false, got 'yes'"),
            ({"strict": 1}, "strict of robust is true or false, got '1'"),
            ({"shares": 0.1}, "robust has no parameter 'shares', did you mean 'share' (a number, above 0 and below 0.5)?"),
            (
                {"x": 1},
                "robust has no parameter 'x'; it has share (a number, above 0 and below 0.5); liars (a whole number, 0 to 10); strict",
            ),
        ],
    )
    def test_what_it_cannot_be_is_named_with_what_it_may(self, given: dict[str, Any], sentence: str) -> None:
        with pytest.raises(BrambleError) as refused:
            read(Kinds, given, "robust")
        assert str(refused.value).startswith("strategy_option: ")
        assert sentence in str(refused.value)
        assert len(str(refused.value)) < 400
        assert "\n" not in str(refused.value)

    def test_they_are_listed(self) -> None:
        assert [(item["name"], item["type"], item["range"], item["default"]) for item in listed(Kinds)] == [
            ("share", "float", "above 0 and below 0.5", 0.1),
            ("liars", "int", "0 to 10", 1),
            ("strict", "bool", "", False),
            ("free", "float", "", 2),
        ]


GOOD = """
from dataclasses import dataclass
from bramble_server.learning.strategies import FedAvg
from bramble_server.learning.parameters import Parameters, parameter

@dataclass(frozen=True)
class Shrinkage(Parameters):
    factor: float = parameter(0.5, "How much of a step is gone.", above=0, most=1)

class Shy(FedAvg):
    "Goes a part of the way."
    takes = Shrinkage
"""
Plug = Callable[..., None]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Install a third party's package."""

    def into(module: str = GOOD, entry: str = "shy = radon_plugin:Shy", name: str = "") -> None:
        folder = install(tmp_path / f"plugin{name}", module, strategies=entry)
        if name:
            info = next(folder.glob("*.dist-info")).rename(folder / f"{name}-2.0.dist-info")
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    return into


def listing() -> dict[str, Any]:
    result = CliRunner().invoke(cli.app, ["strategies", "--json"])
    assert result.exit_code == 0, result.output
    return {item["name"]: item for item in json.loads(result.stdout)}


class TestOtherPackages:
    def test_one_is_chosen_and_listed_by_its_name(self, plug: Plug) -> None:
        plug()
        assert chosen({"strategy": "shy", "strategy_option": ["factor=0.25"]}) == ("shy", {"factor": 0.25})
        with pytest.raises(BrambleError, match=r"factor of shy is a number, above 0 and at most 1, got '2'"):
            chosen({"strategy": "shy", "strategy_option": ["factor=2"]})
        with pytest.raises(
            BrambleError,
            match=f"is not one of {', '.join(strategies.STRATEGIES)}, shy, did you mean 'shy'",
        ):
            chosen({"strategy": "shi"})
        assert listing()["shy"]["description"] == "Goes a part of the way."

    @pytest.mark.parametrize(
        ("module", "sentence"),
        [
            ("import no_such_module", r"does not import \(ModuleNotFoundError: No module named 'no_such_module'\); repair or remove"),
            ("raise SystemExit('out')", r"does not import \(SystemExit: out\)"),
            ("a = = 1", r"does not import \(SyntaxError"),
            ("", r"does not import \(AttributeError"),
            ("Shy = 7", "cannot be used: 7 is not a Strategy; ask its author"),
            ("class Shy: pass", "cannot be used: <class 'radon_plugin.Shy'> is not a Strategy"),
            ("from bramble_server.learning.strategies import FedAvg\nShy = FedAvg()", "is not a Strategy"),
            ("from bramble_server.learning.strategies import Strategy\nclass Shy(Strategy): pass", "Shy lacks begin, finish, fold"),
            (
                "from bramble_server.learning.strategies import FedAvg\nclass Shy(FedAvg):\n  def state(self): return {}",
                "Shy overrides one of state and restore, and they go together",
            ),
            (
                "from bramble_server.learning.strategies import FedAvg\nclass Shy(FedAvg):\n  needs = ('steps',)",
                "Shy overrides one of extras and needs, and they go together",
            ),
            (
                "from bramble_server.learning.strategies import FedAvg\nclass Shy(FedAvg): takes = dict",
                "what it takes is no frozen dataclass",
            ),
            (GOOD.replace("frozen=True", "frozen=False").replace("(Parameters)", ""), "what it takes is no frozen dataclass"),
            (GOOD.replace('parameter(0.5, "How much of a step is gone.", above=0, most=1)', "0.5"), "its parameter factor is not declared"),
            (GOOD.replace("factor: float", "factor: str"), "its parameter factor is not declared as a bool, int or float by parameter"),
            ("from __future__ import annotations\n" + GOOD.replace("factor: float", "factor: Flote"), "its parameters cannot be read"),
            (GOOD.replace("factor", "name"), "its parameter name would be taken for the strategy's own"),
        ],
    )
    def test_a_broken_one_is_a_sentence_for_whoever_chose_it_and_nothing_for_others(self, plug: Plug, module: str, sentence: str) -> None:
        plug(module)
        with pytest.raises(BrambleError, match=r"^strategy: 'shy' of radon-plugin 1.0 .*" + sentence) as refused:
            chosen({"strategy": "shy"})
        assert "\n" not in str(refused.value)
        sys.modules.pop("radon_plugin", None)
        assert chosen({"strategy": "fedprox"}) == ("fedprox", {"mu": 0.01})
        assert "radon_plugin" not in sys.modules, "it is nobody's business"
        found = listing()
        assert found["shy"] == {"name": "shy", "error": str(refused.value)} or "shy" in found["shy"]["error"]
        assert list(found) == [*strategies.STRATEGIES, "shy"]

    @pytest.mark.parametrize(
        ("needs", "sentence"),
        [
            ("return ('stepps',)", "strategy: shy needs 'stepps', which no client knows, only steps, momentum, correction, control"),
            ("return 1 / 0", r"strategy: shy does not say what it needs \(ZeroDivisionError: division by zero\); ask its author"),
            ("return None", r"strategy: shy does not say what it needs \(TypeError"),
        ],
    )
    def test_one_that_needs_what_no_client_has_is_a_sentence(self, plug: Plug, needs: str, sentence: str) -> None:
        methods = f"  @property\n  def needs(self): {needs}\n  def extras(self, context, clients): return {{}}"
        plug("from bramble_server.learning.strategies import FedAvg\nclass Shy(FedAvg):\n  'Shy.'\n" + methods)
        with pytest.raises(BrambleError, match=sentence) as refused:
            strategies.named("shy", {}).check(builtin.weather_graph().manifest)
        assert listing()["shy"]["error"] == str(refused.value)

    def test_two_of_one_name_are_told_apart_by_their_packages(self, plug: Plug) -> None:
        plug()
        plug(name="shyer")
        with pytest.raises(BrambleError, match=r"strategy: 'shy' is offered by radon-plugin 1\.0 and shyer 2\.0; remove all but one"):
            chosen({"strategy": "shy"})

    def test_none_takes_the_name_of_one_of_bramble_s(self, plug: Plug) -> None:
        plug("raise SystemExit", "fedavg = radon_plugin:Shy")
        assert chosen() == ("fedavg", {})
        assert listing()["fedavg"]["error"].startswith("strategy: 'fedavg' of radon-plugin 1.0 is never used, for Bramble has one")


def test_the_command_lists_them_for_people() -> None:
    result = CliRunner().invoke(cli.app, ["strategies"])
    assert result.exit_code == 0
    assert "fedavg       The mean of the clients' weights, each counted by its samples." in result.stdout
    assert "mu: float, 0 to 1000 (default 0.01). How strongly" in result.stdout


def test_the_page_on_strategies_has_them_all_with_their_ranges() -> None:
    page = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text("utf-8")
    for name, kind in strategies.STRATEGIES.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        for item in listed(kind.takes):
            assert f"`{item['name']}` ({item['range']}, default {item['default']:g})" in row


def test_the_page_has_what_combines_as_the_server_refuses_it() -> None:
    found = listing()
    kinds = {axis: list(values) for axis, values in found["fedavg"]["combines"].items()}
    head = ["strategy", *(f"{axis}: {value}" for axis, values in kinds.items() for value in values)]
    lines = [head, ["---"] * len(head)]
    for name in strategies.STRATEGIES:
        combines = found[name]["combines"]
        lines.append([name, *("yes" if combines[axis][value] else "no" for axis, values in kinds.items() for value in values)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    page = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text("utf-8")
    assert f"\n{table}\n" in page, f"the page lacks\n{table}"


def test_the_page_has_which_selection_goes_with_what_as_the_server_refuses_it() -> None:
    found = {name: strategies.combining.selecting(name, kind.by_loss) for name, kind in selection.SELECTIONS.items()}
    kinds = {axis: list(values) for axis, values in found["uniform"].items()}
    head = ["selection", *(f"{axis}: {value}" for axis, values in kinds.items() for value in values)]
    lines = [head, ["---"] * len(head)]
    for name, combines in found.items():
        lines.append([name, *("yes" if combines[axis][value] else "no" for axis, values in kinds.items() for value in values)])
        for axis, value in ((axis, value) for axis, values in kinds.items() for value in values):
            coins = selection.SELECTIONS[name].coins  # which go with noise alone, and noise with a budget
            given = {axis: value, "selection": name, "min_clients": 10, **({"strategy": "dp", "epsilon": 8.0} if coins else {})}
            given |= {"clients_per_round": 0.5 if coins else 10} if value != "asynchronous" else {}
            if combines[axis][value] or (name, value) == ("uniform", "asynchronous"):  # which is the default, and so says nothing
                chosen(given)
            else:
                with pytest.raises((BrambleError, ValueError), match="selection"):
                    chosen(given)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    page = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text("utf-8")
    assert f"\n{table}\n" in page, f"the page lacks\n{table}"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"strategy": "krum"}, "krum makes nothing of fewer than 5 clients, and a round would start with 2; say --min-clients 5"),
        ({"strategy": "krum", "min_clients": 5}, None),
        ({"strategy": "multikrum", "strategy_option": ["liars=4"], "min_clients": 10}, "fewer than 11 clients"),
        ({"strategy": "normbound+krum"}, "normbound\\+krum makes nothing of fewer than 5"),
        ({"strategy": "krum", "min_clients": 5, "mode": "private"}, "krum may make numbers of the model of one client's weights alone"),
        ({"strategy": "median", "mode": "private"}, "median may make"),
        ({"strategy": "normbound+median", "mode": "private"}, "normbound\\+median may make"),
        ({"strategy": "median"}, None),
        ({"strategy": "trimmedmean", "mode": "private"}, None),
        ({"strategy": "trimmedmean", "strategy_option": ["share=0.4"], "mode": "private"}, "trimmedmean may make"),
        ({"strategy": "multikrum", "strategy_option": ["chosen=1"], "min_clients": 5, "mode": "private"}, "multikrum may make"),
        ({"strategy": "multikrum", "min_clients": 5, "mode": "private"}, None),
        ({"strategy": "rfa", "mode": "private"}, None),
        ({"track": ["climate.strategy=krum"]}, r"^track: climate.strategy: krum makes nothing"),
        ({"secure": True, "strategy": "fedadam"}, None),
        ({"secure": True, "strategy": "median"}, "^strategy: median needs more than a sum of updates"),
        ({"secure": True, "strategy": "qfedavg"}, "^strategy: qfedavg needs more than a sum of updates"),
        ({"secure": True, "strategy": "dp", "epsilon": 8.0}, None),
        ({"secure": True, "strategy": "normbound+dp", "epsilon": 8.0}, "^strategy: normbound\\+dp needs more than a sum of updates"),
        (
            {"secure": True, "strategy": "dp", "strategy_option": ["colluding=3"], "epsilon": 8.0, "min_clients": 3, "min_updates": 3},
            "dp does not count on the noise of 3 clients, and 3 are enough for a sum, so it might have none; raise --min-updates",
        ),
        (
            {"selection": "poisson", "clients_per_round": 0.5},
            "fedavg adds no noise, so coins that .* would hide nobody",
        ),
        ({"selection": "poisson", "clients_per_round": 0.5, "strategy": "dp", "epsilon": 8.0}, None),
        (
            {"selection": "poisson", "clients_per_round": 0.5, "strategy": "dp", "epsilon": 8.0, "secure": True},
            "would be given clients by coins that nobody may know of .*, and --secure tells those in a sum who is in it",
        ),
        ({"strategy": "dp", "strategy_option": ["colluding=1"], "epsilon": 8.0}, "say --secure, or leave colluding out"),
        ({"secure": True, "codec": "delta-int8"}, "^codec: fedavg would be given a sum of masked words"),
        ({"secure": True, "discipline": "asynchronous"}, "^secure: fedavg would be given a sum, and those who are in it"),
        ({"secure": True, "clients_per_round": 5, "selection": "loss"}, "^selection: fedavg would be given clients by their loss"),
    ],
)
def test_what_does_not_combine_ends_a_server_before_it_starts(given: dict[str, Any], sentence: str | None) -> None:
    if sentence is None:
        chosen(given)
        return
    with pytest.raises(BrambleError, match=sentence):
        chosen(given)


def test_all_that_combines_is_refused_nowhere_and_nothing_else_is() -> None:
    for name, item in listing().items():
        for mode, combines in item["combines"]["mode"].items():
            settings = {"strategy": name, "mode": mode, "min_clients": 10, **({"epsilon": 8.0} if name == "dp" else {})}
            if combines:
                chosen(settings)
            else:
                with pytest.raises(BrambleError, match=mode):
                    chosen(settings)
