"""A client that cannot start says why in one sentence; one that cannot connect says why and goes on trying."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bramble.api import Server
from bramble_server.fleet.tokens import hash_of
from tests import warm
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.ports import kept
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def bad_recording(folder: Path) -> list[str]:
    (folder / "bad.csv").write_text("time,temperature\n2023-01-01T00:00Z,1.5\n2023-01-01T01:00Z,warm\n")
    return ["--replay", str(folder / "bad.csv")]


def bad_authority(folder: Path) -> list[str]:
    (folder / "ca.pem").write_text("this is no certificate")
    return ["--server", "https://127.0.0.1", "--ca", str(folder / "ca.pem")]


def empty_token(folder: Path) -> list[str]:
    (folder / "token").write_text("\n")
    return ["--token-file", str(folder / "token")]


def file_as_folder(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return ["--data-dir", str(folder / "file")]


def bad_sensors(folder: Path) -> list[str]:
    (folder / "sensors.toml").write_text('[[sensor]]\ndriver = "bme280"\naddress = "roof"\n')
    return ["--sensors-file", str(folder / "sensors.toml")]


def bad_faults(folder: Path) -> list[str]:
    (folder / "faults.toml").write_text('[[fault]]\nkind = "gremlins"\n')
    return ["--faults", str(folder / "faults.toml")]


BAD: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "no address": (lambda folder: ["--server", "not an address"], "--server"),
    "another scheme": (lambda folder: ["--server", "ftp://127.0.0.1"], "--server"),
    "an id with capitals": (lambda folder: ["--id", "Pi One"], "--id"),
    "no such sensors": (lambda folder: ["--sensors", "imaginary"], "--sensors"),
    "no such mode": (lambda folder: ["--mode", "public"], "--mode"),
    "no such interval": (lambda folder: ["--sample-every", "soon"], "--sample-every"),
    "a missing recording": (lambda folder: ["--replay", str(folder / "missing.csv")], "missing.csv"),
    "a malformed recording": (bad_recording, "bad.csv"),
    "a missing sensors file": (lambda folder: ["--sensors-file", str(folder / "none.toml")], "none.toml"),
    "a malformed sensors file": (bad_sensors, "sensors.toml, line 3, key 'address'"),
    "a missing script of faults": (lambda folder: ["--faults", str(folder / "none.toml")], "none.toml"),
    "a malformed script of faults": (bad_faults, "faults.toml, line 2, key 'kind'"),
    "faults of real sensors": (lambda folder: ["--sensors", "linux", *bad_faults(folder)], "--faults is for mock sensors"),
    "a missing authority": (lambda folder: ["--server", "https://127.0.0.1", "--ca", str(folder / "none.pem")], "none.pem"),
    "a malformed authority": (bad_authority, "ca.pem"),
    "an authority without TLS": (lambda folder: ["--ca", str(folder / "ca.pem")], "https"),
    "a missing token file": (lambda folder: ["--token-file", str(folder / "none")], "--token-file"),
    "an unreadable token file": (lambda folder: ["--token-file", str(folder)], "--token-file"),
    "an empty token file": (empty_token, "--token-file"),
    "a file as data folder": (file_as_folder, "--data-dir"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_setting_is_one_sentence_on_stderr_and_an_exit_code(tmp_path: Path, case: str) -> None:
    flags, named = BAD[case]
    command = ["--id", "pi-1", "--sensors", "mock", "--data-dir", str(tmp_path / "data")]
    done = warm.run("bramble_client", *command, *flags(tmp_path))
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_sensors_have_to_be_named(tmp_path: Path) -> None:
    done = warm.run("bramble_client", "--data-dir", str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "--sensors is missing" in done.stderr


def test_a_second_client_with_the_same_data_folder_is_turned_away(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with ClientProcess(url, tmp_path) as first:
            first.wait_log("cannot reach the server")
            with ClientProcess(url, tmp_path, "--data-dir", str(first.folder), name="pi-2") as second:
                assert second.process.wait(60) == 1
                assert "is in use by another client" in second.log()
            assert first.stop() == 0


def test_a_server_that_is_not_there_is_said_once_and_once_when_it_is(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", kept()))
        port = held.getsockname()[1]
        client = ClientProcess(f"http://127.0.0.1:{port}", tmp_path)
        with client:
            client.wait_log("cannot reach the server")
            held.close()
            with ServerProcess(tmp_path, "--port", str(port)) as server:
                client.wait_connected()
                client.wait_log("connected to the server")
                assert client.output.read_text() == f"bramble client pi-1 connected to {server.url}\n"
            client.wait_log("cannot reach the server", times=2)
            assert client.logged("lost the connection") == 1
            assert client.logged("cannot reach") == 2
            assert client.logged("connected to the server") == 1
            assert client.stop() == 0


def test_a_wrong_token_is_said_once_in_the_servers_words_and_tried_until_the_server_knows_it(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[clients]\npi-1 = "{hash_of("another")}"\n')
    (tmp_path / "token").write_text("s3cret-token\n")
    with ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-clients", "1", "--tokens", str(tokens)) as server:
        flags = ("--token-file", str(tmp_path / "token"), "--reconnect-max", "0.05")
        with ClientProcess(server.url, tmp_path, *flags) as client:
            wait_for(lambda: server.log().count("handshake refused") >= 1, "a refusal")
            client.wait_log("refuses this client: token: not the one of client pi-1")
            assert client.output.read_text() == ""
            tokens.write_text(f'[clients]\npi-1 = "{hash_of("s3cret-token")}"\n[http]\ntest = "{hash_of("web")}"\n')
            client.wait_connected()
            assert client.logged("refuses this client") == 1
            # its token fetches the graph as well
            me = Server(server.url, "web", timeout=60)
            me.generate(60)
            wait_for(lambda: not me.status()["cycle_waiting_for"], "its readings")
            me.start()
            client.wait_log("round 1 of climate: the server took")
            assert "s3cret" not in client.log() + server.log()
            assert client.stop() == 0
