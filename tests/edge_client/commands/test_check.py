"""``bramble client check`` against a real server, and against everything that can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bramble_client.commands import check, startup
from bramble_client.hal.errors import NothingYet
from bramble_client.settings import ClientSettings
from bramble_server.fleet.tokens import new_token
from tests import warm
from tests.server.process import ServerProcess


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that asks for tokens, and a file with one it takes."""
    folder = tmp_path_factory.mktemp("secured")
    token, hashed = new_token()
    (folder / "tokens.toml").write_text(f'[clients]\npi-1 = "{hashed}"\n')
    (folder / "token").write_text(token)
    with ServerProcess(folder, "--tokens", str(folder / "tokens.toml")) as server:
        yield server.url, folder / "token"


def findings(**settings: object) -> dict[str, check.Finding]:
    return {finding.part: finding for finding in check.check(ClientSettings(sensors="mock", id="pi-1", **settings))}  # type: ignore[arg-type]


def test_a_client_that_can_work_is_told_so(secured: tuple[str, Path]) -> None:
    url, token = secured
    found = findings(server=url, token_file=token)
    assert all(finding.good for finding in found.values()), found
    assert "temperature" in found["sensors"].sentence
    assert "takes the token" in found["server"].sentence


def test_a_token_that_the_server_does_not_take_is_found(secured: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not-the-token")
    for token_file in (tmp_path / "other", None):
        found = findings(server=secured[0], token_file=token_file)
        assert not found["server"].good
        assert "does not take this client's token" in found["server"].sentence
        assert found["sensors"].good, "one part's trouble is no other's"


def test_a_server_that_is_not_there_is_found(tmp_path: Path) -> None:
    found = findings(server="http://127.0.0.1:1")
    assert "http://127.0.0.1:1 cannot be reached" in found["server"].sentence


def test_a_malformed_recording_is_found_by_line_and_column(secured: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("time,temperature\n2023-01-01T00:00Z,1\n2023-01-01T01:00Z,warm\n")
    found = findings(server=secured[0], token_file=secured[1], replay=tmp_path / "odd.csv")
    assert not found["sensors"].good
    assert "line 3" in found["sensors"].sentence


def test_a_malformed_sensors_file_is_found_by_line_and_key(secured: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "sensors.toml").write_text('[[sensor]]\ndriver = "bme280"\naddress = 0x10\n')
    found = findings(server=secured[0], token_file=secured[1], sensors_file=tmp_path / "sensors.toml")
    assert "sensors.toml, line 3, key 'address'" in found["sensors"].sentence


def test_sensors_are_read_as_the_file_lists_them_and_with_their_faults(secured: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "sensors.toml").write_text('[[sensor]]\ndriver = "scd4x"\n')
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "unplug"\nseconds = 100\n')
    settings: dict[str, object] = {"server": secured[0], "token_file": secured[1], "sensors_file": tmp_path / "sensors.toml"}
    assert "carbon_dioxide" in findings(**settings)["sensors"].sentence
    assert "no sensor gave a reading" in findings(**settings, faults=tmp_path / "faults.toml")["sensors"].sentence


def test_sensors_that_give_nothing_are_found(secured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute:
        channels = ()
        sensors: tuple[SimpleNamespace, ...] = ()

        def sample(self) -> dict[str, float | None]:
            return {"temperature": None}

        def close(self) -> None: ...

    monkeypatch.setattr(startup, "open_board", lambda *arguments, **options: Mute())
    assert "no sensor gave a reading" in findings(server=secured[0], token_file=secured[1])["sensors"].sentence
    Mute.sensors = (SimpleNamespace(name="attic", error=NothingYet("topic z/attic has said nothing yet")),)
    assert findings(server=secured[0], token_file=secured[1])["sensors"] == ("sensors", True, "attic waits for its first message")


def test_pins_are_tried_out_if_they_are_used(secured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    monkeypatch.setenv("LG_WD", "unset")
    assert "pins" not in findings(server=secured[0], token_file=secured[1])
    assert findings(server=secured[0], token_file=secured[1], gpio=True)["pins"].good
    monkeypatch.setitem(sys.modules, "gpiozero.pins.mock", None)
    found = findings(server=secured[0], token_file=secured[1], gpio=True)["pins"]
    assert not found.good
    assert "pip install bramble-fl[gpio]" in found.sentence


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--server", "http://127.0.0.1:1"], 1)], ids=["good", "bad"])
def test_the_command_says_so_by_its_code(secured: tuple[str, Path], flags: list[str], code: int) -> None:
    command = ["client", "check", "--sensors", "mock", "--id", "pi-1", "--token-file", str(secured[1])]
    done = warm.run("bramble", *command, "--server", secured[0], *flags)
    assert done.returncode == code, done.stderr
    assert "ok   sensors:" in done.stdout
    assert ("FAIL server:" in done.stderr) == bool(code)


def test_a_client_that_runs_is_not_disturbed(secured: tuple[str, Path], tmp_path: Path) -> None:
    from tests.edge_client.process import ClientProcess

    with ClientProcess(secured[0], tmp_path, "--token-file", str(secured[1])) as client:
        client.wait_connected()
        assert all(finding.good for finding in findings(server=secured[0], token_file=secured[1], data_dir=client.folder).values())
        assert client.process.poll() is None
        assert not client.logged("lost the connection")


def test_which_graphs_it_runs_is_said_where_it_matters_and_a_missing_key_found(secured: tuple[str, Path], tmp_path: Path) -> None:
    assert "graphs" not in findings(server=secured[0], token_file=secured[1])
    found = findings(server=secured[0], token_file=secured[1], mode="private")
    assert found["graphs"].sentence == "runs the graphs of Bramble's own tasks, no other"
    lost = findings(server=secured[0], token_file=secured[1], mode="private", trust_graphs=str(tmp_path / "lost.pub"))
    assert not lost["graphs"].good
    assert "--trust-graphs: cannot read" in lost["graphs"].sentence


def test_it_trains_as_in_a_round(secured: tuple[str, Path]) -> None:
    assert "trains task climate on" in findings(server=secured[0], token_file=secured[1])["training"].sentence
