"""``bramble settings check``: whatever would end a unit at its start is named before, and whatever would not passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bramble import cli, flags
from bramble.settings_check import Problem, check
from bramble_client.commands import startup
from bramble_client.learn.graph_trust import read_keys
from bramble_client.settings import ClientSettings
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError
from bramble_protocol.mqtt.address import way
from bramble_server import foundation
from bramble_server.settings import ServerSettings
from tests import warm
from tests.edge_client.process import CLIMATE

assert cli.app, "its import tells which commands read which table"

SENSORS = '[[sensor]]\ndriver = "bme280"\n'
MOCK = '[client]\nsensors = "mock"\n'
FILES = {
    "none.tflite": "no graph",
    "unknown.toml": SENSORS.replace("bme280", "bme208"),
    "misspelt.toml": SENSORS + "adress = 0x76\n",
    "far.toml": SENSORS + "address = 0x10\n",
    "half.toml": SENSORS + '[[sensor]]\ndriver = "bh1705"\n',
    "none.toml": "",
    "odd.csv": "time,temperature\n2023-01-01T00:00Z,1\n2023-01-01T01:00Z,warm\n",
    "faults.toml": '[[fault]]\nkind = "earthquake"\n',
    "odd.pub": "no key",
    "odd.sig.tflite.sig": "no signature\n",
}
ENDS = [
    ("[server]\nevery = 'soon'", "every", "expected a duration such as 90s, 10m or 1h, got 'soon'"),
    ("[server]\nevery = '0s'", "every", "greater than 0"),
    ("[server]\ndeadline = true", "deadline", "True is no value for it"),
    ("[server]\nmin_clients = true", "min_clients", "True is no value for it"),
    ("[server]\nmin_clients = 'two'", "min_clients", "valid integer"),
    ("[server]\nkeep_models = 0", "keep_models", "greater than or equal to 1"),
    ("[server]\nkeep_models = null", "keep_models", "is no value that TOML has: null"),
    ("[server]\nkeep_models = 3\nkeep_models = 4", "keep_models", "is set twice"),
    ("[server]\nping_intervall = '2s'", "ping_intervall", "did you mean 'ping_interval'?"),
    ("[server]\nping_interval = '2.5s'", "ping_interval", "multiple of 1"),
    ("[server]\nport = 70000", "port", "less than or equal to 65535"),
    ("[server]\nmode = 'secret'", "mode", "'evaluation' or 'private'"),
    ("[server]\nmode = 'private'\nmin_updates = 1", "", "in private mode say 2"),
    ("[server]\nmin_updates = 5\nmin_clients = 3", "", "a round could start that can never commit"),
    ("[server]\nrounds = 3\nevery = '1h'", "", "exclude each other"),
    ("[server]\ntls_cert = '/etc/bramble/server.crt'", "", "--tls-cert and --tls-key belong together"),
    (
        "[server]\nstrategy = 'fedavrg'",
        "strategy",
        ", normbound, dp, did you mean 'fedavg'?",
    ),
    ("[server.strategy]\nname = 'fedavrg'", "strategy", "is not one of fedavg"),
    (
        "[server.strategy]\nname = 'fedavgm'\nmomentun = 0",
        "strategy_option",
        "has no parameter 'momentun', did you mean 'momentum' (a number, at least 0 and below 1)?",
    ),
    ("[server.strategy]\nname = 'fedprox'\nmu = -1", "strategy_option", "mu of fedprox is a number, 0 to 1000, got '-1'"),
    ("[server.strategy]\nname = 'fedprox'\nmu = true", "strategy_option", "mu of fedprox is a number, 0 to 1000, got 'True'"),
    ("[server.strategy]\nname = 'fedprox'\nmu = [1]", "strategy_option", "mu of fedprox is a number, 0 to 1000, got '[1]'"),
    ("[server.strategy]\nmu = 0.1", "strategy_option", "fedavg has no parameter 'mu', for it has none"),
    ("[server.strategy]\nname = 3", "strategy", "input should be a valid string"),
    ("[server]\nstrategy_option = ['mu']", "strategy_option", "a parameter is written key=value, such as mu=0.1"),
    ("[server]\nstrategy_option = 5", "strategy_option", "is written key=value"),
    ("[server]\nstrategy_option = ['mu=1', 'mu=2']", "strategy_option", "mu is given twice"),
    ("[server]\nclients_per_round = 0", "clients_per_round", "expected a number of clients, such as 20, or a part of them above 0"),
    ("[server]\nclients_per_round = 0.0", "clients_per_round", "above 0 and at most 1, such as 0.1, got '0.0'"),
    ("[server]\nclients_per_round = 1.5", "clients_per_round", "above 0 and at most 1"),
    ("[server]\nclients_per_round = true", "clients_per_round", "True is no value for it"),
    ("[server]\nclients_per_round = '20 %'", "clients_per_round", "expected a number of clients"),
    ("[server]\nclients_per_round = 2\nmin_updates = 3", "", "--clients-per-round 2 is less than --min-updates 3: no round could commit"),
    ("[server]\nover_selection = 1.3", "", "--over-selection is of no use where all clients are asked: say --clients-per-round, too"),
    ("[server]\nselection = 'tiers'", "", "--selection is of no use where all clients are asked"),
    ("[server]\nclients_per_round = 5\nover_selection = 0.9", "over_selection", "greater than or equal to 1"),
    (
        "[server]\nclients_per_round = 5\nselection = 'ort'",
        "selection",
        "is not one of uniform, samples, loss, least-recent, tiers, adaptive-tiers, oort, poisson, did you",
    ),
    (
        "[server]\nclients_per_round = 5\n[server.selection]\nname = 'tiers'\ntier = 3",
        "selection_option",
        "did you mean 'tiers' (a whole number",
    ),
    (
        "[server]\nclients_per_round = 5\n[server.selection]\nname = 'tiers'\ntiers = 0",
        "selection_option",
        "tiers of tiers is a whole number",
    ),
    (
        "[server]\neligibility = 'heet'",
        "eligibility",
        "clock, data, all, none, did you mean heat?",
    ),
    ("[server]\nadaptive_deadline = 0.5", "adaptive_deadline", "greater than or equal to 1"),
    ("[server]\ntask = 'climat'", "task", "is not one of activity"),
    ("[server]\ntask = '{folder}/lost.tflite'", "task", "cannot read"),
    ("[server]\ntask = '{folder}/none.tflite'", "task", "not a graph file with a manifest"),
    ("[server]\ntask = '{folder}/good.tflite'\nhorizon = 3", "horizon", "has its own"),
    ("[server]\nencoding = 'float8'", "encoding", "'float32' or 'float16'"),
    ("[server]\ndatabase = 'mysql://db/bramble'", "database", "mysql is not supported"),
    ("[server]\ndata_start = 'yesterday'", "data_start", "datetime"),
    ("[client]\nid = 'pi-1'", "", "--sensors is missing"),
    ("[client]\nsensors = 'moc'", "sensors", "'mock' or 'linux'"),
    (f"{MOCK}id = 'Küche'", "id", "expected 1 to 63 of a-z"),
    (f"{MOCK}server = 'hub:5000'", "server", "expected the server's address"),
    (f"{MOCK}ca = '/etc/bramble/ca.crt'", "", "write its address as https://"),
    (f"{MOCK}proxy = 'socks5://proxy:1080'", "proxy", "expected an HTTP proxy's address"),
    (f"{MOCK}labels = 'a,b'", "", "add --gpio"),
    (f"{MOCK}sample_every = '1 year'", "sample_every", "expected a duration"),
    (f"{MOCK}samples_every = '60s'", "samples_every", "did you mean 'sample_every'?"),
    (f"{MOCK}keep_samples = 3", "keep_samples", "greater than or equal to 100"),
    (f"{MOCK}training_memory = 1", "training_memory", "greater than or equal to 64"),
    (f"{MOCK}replay = '{{folder}}/odd.csv'", "replay", "line 3"),
    (f"{MOCK}replay = '{{folder}}/lost.csv'", "replay", "cannot be read"),
    (f"{MOCK}faults = '{{folder}}/faults.toml'", "faults", "line 2, key 'kind'"),
    (f"{MOCK}sensors_file = '{{folder}}/unknown.toml'", "sensors_file", "there is no driver 'bme208'"),
    (f"{MOCK}sensors_file = '{{folder}}/none.toml'", "sensors_file", "lists no sensor"),
    ("[client]\nsensors = 'linux'\nsensors_file = '{folder}/misspelt.toml'", "sensors_file", "line 3, key 'adress'"),
    ("[client]\nsensors = 'linux'\nsensors_file = '{folder}/far.toml'", "sensors_file", "line 3, key 'address'"),
    ("[client]\nsensors = 'linux'\nreplay = '/etc/bramble/a.csv'", "", "--replay is for mock sensors"),
    (f"{MOCK}trust_graphs = '{{folder}}/odd.pub'", "trust_graphs", "odd.pub"),
    (f"{MOCK}mqtt = 'hub'", "mqtt", "such as mqtt://192.168.1.5"),
    (f"{MOCK}mqtt_login = '/etc/bramble/mqtt.login'", "", "add --mqtt"),
    (f"{MOCK}mqtt = 'mqtts://h'\nmqtt_ca = '{{folder}}/odd.pub'", "mqtt_ca", "holds no certificate"),
    ("[server]\nmqtt = 'mqtt://h'\nmqtt_login = '{folder}/odd.pub'", "mqtt_login", "the user on its first line"),
    ("[server]\nmqtt = 'mqtt://h'\nmqtt_ca = '/etc/bramble/ca.crt'", "", "write its address as --mqtt mqtts://"),
    ("[inspector]\ninterval = 'often'", "interval", "valid number"),
    ("[inspector]\nprefix = 'fleet'", "prefix", "write it like /fleet"),
    ("[inspector]\nserver = 'hub'", "server", "expected the server's address"),
    ("[inspector]\nhistori = 10", "histori", "did you mean 'history'?"),
    ("[fleet]\ntimeout = 'long'", "timeout", "valid number"),
    ("[fleet]\nserver = 3", "server", "valid string"),
    ("[fleet]\nserver = 'hub:5000'", "server", "expected the server's address"),
    ("[fleet]\nserver = 'http://me:hunter2@hub:5000'", "server", "no user or password in it: give a token with --token-file"),
    ("[sevrer]\nport = 1", "", "did you mean 'server'?"),
    ("port = 1", "", "outside of a table"),
    ("[server", "", "is not TOML"),
    ("", "", "it has no table"),
]
"""What ends a unit at its start, by the settings alone: the setting to blame, and what is said of it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "good.tflite").write_bytes(CLIMATE.read_bytes())
    return tmp_path


def judged(folder: Path, text: str) -> tuple[Path, list[Problem]]:
    path = folder / "bramble.toml"
    path.write_text(text.replace("{folder}", str(folder)) + "\n")
    return path, check(path)


def started(path: Path) -> None:
    """Read a file as the command does that it is for, as far as nothing is opened."""
    server = flags.load(ServerSettings, "server", {}, path)
    if "[server" in path.read_text():
        foundation.read(server)
    if "[client]" in path.read_text():
        client = flags.load(ClientSettings, "client", {}, path)
        if client.sensors == "mock":
            startup.open_sensors(client, remember=False).close()
        elif client.sensors_file is not None:
            startup.check_files(client)  # real ones would be looked for on a bus
        read_keys(client.trust_graphs)
        if client.mqtt is not None:
            way(client.mqtt, client.mqtt_login, client.mqtt_ca)
    if "[inspector]" in path.read_text():
        flags.load(InspectorSettings, "inspector", {}, path)
    if "[fleet]" in path.read_text():
        for cls in flags.commands("fleet"):
            flags.load(cls, "fleet", {"client": "a", "number": 1}, path)


@pytest.mark.parametrize(("text", "key", "sentence"), ENDS, ids=[row[0].replace("\n", " ") or "empty" for row in ENDS])
def test_what_would_end_a_unit_at_its_start_is_named_before(folder: Path, text: str, key: str, sentence: str) -> None:
    path, problems = judged(folder, text)
    assert [problem.key for problem in problems] == [key], problems
    assert sentence in problems[0].sentence
    if text:  # an empty file is no mistake of a command, but one of whoever wants it judged
        with pytest.raises(BrambleError):
            started(path)


@pytest.mark.parametrize(
    "text",
    [
        "[server]",
        "[server]\nmode = 'private'\nevery = '1h'\nping-interval = '2s'",
        "[server.strategy]\nname = 'fedavgm'\nmomentum = 0\nlearning-rate = 2",
        "[server]\nstrategy = 'fedprox'\nstrategy_option = ['mu=0.5']",
        "[server]\ntask = '{folder}/good.tflite'\ntokens = '/etc/bramble/tokens.toml'",
        "[server]\ndatabase = 'postgresql+psycopg://bramble@db.local/bramble'",
        MOCK,
        "[client]\nsensors = 'linux'\nmode = 'private'\nserver = 'https://hub:5000'\nca = '/etc/bramble/ca.crt'",
        "[inspector]\n[fleet]\nserver = 'https://hub:5000'",
    ],
)
def test_what_a_unit_starts_with_passes(folder: Path, text: str) -> None:
    assert judged(folder, text)[1] == []


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    _, problems = judged(folder, "[server]\nevery = 'soon'\nprot = 1\nmin_clients = 'two'\n[client]\nsensors = 'mock'\nid = '-'")
    assert [problem.key for problem in problems] == ["prot", "min_clients", "every", "id"]


def test_a_sensor_that_a_running_client_would_leave_out_is_a_mistake_before_it_comes_to_a_fleet(folder: Path) -> None:
    path, problems = judged(folder, f"{MOCK}sensors_file = '{{folder}}/half.toml'")
    started(path)
    assert "there is no driver 'bh1705'" in problems[0].sentence


def test_an_environment_does_not_make_good_settings_bad_nor_bad_ones_good(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_EVERY", "1h")
    monkeypatch.setenv("BRAMBLE_SERVER_MIN_CLIENTS", "nonsense")
    assert judged(folder, "[server]\nport = 1")[1] == []
    assert judged(folder, "[server]\nevery = 'soon'")[1]


def test_a_secret_is_not_repeated(folder: Path) -> None:
    _, problems = judged(folder, "[server]\ndatabase = ['postgresql://u:hunter2@db/b']")
    assert problems
    assert "hunter2" not in str(problems)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A deployed release's own files, whose paths are those of the host that they go to."""
    etc = tmp_path / "release" / "etc/bramble"
    etc.mkdir(parents=True)
    (etc / "client-a.toml").write_text('[client]\nid = "a"\nsensors = "mock"\nsensors_file = "/etc/bramble/sensors.toml"\n')
    (etc / "client-b.toml").write_text('[client]\nid = "b"\nsensors = "linux"\ntoken_file = "/etc/bramble/b.token"\n')
    (etc / "sensors.toml").write_text(SENSORS)
    return tmp_path / "release"


def test_a_releases_files_are_judged_where_they_lie(release: Path) -> None:
    assert check(release) == []
    (release / "etc/bramble/sensors.toml").write_text(FILES["unknown.toml"])
    (problem,) = check(release)
    assert (Path(problem.file).name, problem.key) == ("client-a.toml", "sensors_file")
    assert problem.sentence.startswith("/etc/bramble/sensors.toml, line 2, key 'driver'"), "as the path is on the host"
    assert "there is no settings file in its etc/bramble" in check(release / "etc")[0].sentence


@pytest.mark.parametrize(("every", "code"), [("1h", 0), ("soon", 1)])
def test_the_command_tells_by_its_code_and_as_json(tmp_path: Path, every: str, code: int) -> None:
    path = tmp_path / "server.toml"
    path.write_text(f'[server]\nevery = "{every}"\n')
    done = warm.run("bramble", "settings", "check", str(path))
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines() == [f"{path}: [server] every: expected a duration such as 90s, 10m or 1h, got 'soon'"][:code]
    listed = warm.run("bramble", "settings", "check", str(path), "--json")
    assert [problem["key"] for problem in json.loads(listed.stdout)] == ["every"][:code]
