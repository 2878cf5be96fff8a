"""``bramble fleet status`` against a stand-in for the server that answers as told."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bramble import fleet
from bramble.api import Server, ServerError
from bramble.settings import FleetSettings

HEALTH = {
    "sample_age": 4.0, "sample_every": 60.0, "soc_temperature": 61.0, "throttled": 0x50001, "memory_free": 210.0, "disk_free": 2048.0,
    "clock_offset": -1.25, "samples_missed": 12345, "sensors_gone": ["roof", "[bold]x"],
}  # fmt: skip

WELL = {**HEALTH, "sensors_gone": [], "sensors_doubted": []}


def client(**other: Any) -> dict[str, Any]:
    now = time.time()
    return {"connected": True, "version": "1.0", "since": now - 100, "health": HEALTH, "health_at": now, **other}


class StandIn(ThreadingHTTPServer):
    """Answers GET by path; a number is a status without JSON."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.answers: dict[str, Any] = {
            "/status": {
                "version": "1.0",
                "mode": "private",
                "task": "climate",
                "round": 7,
                "running": None,
                "tasks": [{"task": "climate", "in_use": {"global": 1, "personal": 4}, "measures": {"accuracy": 0.875}, "unseen": ["run"]}],
            },
            "/clients": {"clients": {"pi-1": client(), "pi-2": client(connected=False, since=time.time() - 7200, version="[/odd]")}},
            "/rounds": {
                "rounds": [
                    {"round": 6, "state": "committed", "clients": {"pi-1": {"samples": 5}, "pi-2": {"samples": 5}}},
                    {"round": 7, "state": "committed", "clients": {"pi-1": {"samples": 5}, "pi-2": {"samples": None}}},
                    {"round": 8, "state": "abandoned", "clients": {"pi-1": {"samples": 5}}},
                ]
            },
        }
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.asked.append((self.path, self.headers["Authorization"]))
                answer = stand_in.answers[self.path.partition("?")[0]]
                self.send_response(answer if isinstance(answer, int) else answer.pop("status", 200))
                self.end_headers()
                self.wfile.write(b"<html>" if isinstance(answer, int) else json.dumps(answer).encode())

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        threading.Thread(target=stand_in.serve_forever, args=(0.02,), daemon=True).start()
        yield stand_in
        stand_in.shutdown()


def test_each_client_has_its_last_committed_round_and_whether_it_measures(server: StandIn) -> None:
    status = fleet.read(FleetSettings(server=server.url))
    about = {"version": "1.0", "mode": "private", "task": "climate", "round": 7, "running": None}
    of_task = {"in_use": {"global": 1, "personal": 4}, "measures": {"accuracy": 0.875}, "unseen": ["run"]}
    assert status["server"] == {**about, **{name: {"climate": told} for name, told in of_task.items()}}
    assert {name: item["last_round"] for name, item in status["clients"].items()} == {"pi-1": 7, "pi-2": 6}
    assert {name: item["fresh"] for name, item in status["clients"].items()} == {"pi-1": True, "pi-2": False}


def test_the_token_is_shown_to_the_server_on_every_request(server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    fleet.read(FleetSettings(server=server.url + "/", token_file=tmp_path / "token"))
    assert [path.partition("?")[0] for path, _ in server.asked] == ["/status", "/clients", "/rounds"]
    assert {token for _, token in server.asked} == {"Bearer secret"}


def test_a_fleet_without_rounds_is_not_asked_for_any(server: StandIn) -> None:
    server.answers["/status"]["round"] = 0
    assert fleet.read(FleetSettings(server=server.url))["clients"]["pi-1"]["last_round"] is None
    assert all("/rounds" not in path for path, _ in server.asked)


@pytest.mark.parametrize(("bits", "said"), [(None, "not known"), (0, "no"), (4, "throttled")])
def test_a_machine_that_cannot_tell_of_its_supply_is_not_said_to_be_well(bits: int | None, said: str) -> None:
    assert fleet._throttled({**HEALTH, "throttled": bits}) == said
    assert fleet._throttled({}) == "", "a client that has not reported yet"


def test_json_is_for_scripts(server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet.run(FleetSettings(server=server.url, as_json=True)) == 0
    assert json.loads(capsys.readouterr().out)["clients"]["pi-1"]["version"] == "1.0"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"health": {**WELL}}, 0),
        ({"health": HEALTH}, fleet.SICK),
        ({"health": {**WELL, "disk": "ok"}}, 0),
        ({"health": {**WELL, "sensors_doubted": ["roof"]}}, fleet.SICK),
        ({"health": {**WELL, "disk": "read-only"}}, fleet.SICK),
        ({"connected": False, "health": {**WELL}}, fleet.SICK),
        ({"health": {**WELL, "sample_age": None}}, fleet.SICK),
        ({"health": {**WELL}, "remarks": ["two clients have this name"]}, fleet.SICK),
    ],
    ids=[
        "all is well",
        "a sensor is gone",
        "its disk is well",
        "a sensor is doubtful",
        "its disk is read-only",
        "a client is gone",
        "a client does not measure",
        "two have one name",
    ],
)
def test_the_exit_code_tells_whether_somebody_should_look(
    server: StandIn, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: int
) -> None:
    server.answers["/clients"] = {"clients": {"pi-1": client(**change)}}
    assert fleet.run(FleetSettings(server=server.url)) == code
    assert "pi-1" in capsys.readouterr().out


def test_who_has_a_token_and_was_never_seen_is_listed_and_what_the_server_remarks_is_said(
    server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    well = WELL
    server.answers["/clients"] = {"clients": {"pi-1": client(health=well)}, "never_seen": ["pi-new"]}
    assert fleet.run(FleetSettings(server=server.url)) == fleet.SICK
    assert "pi-new  never seen" in capsys.readouterr().out
    remarks = ["two clients have this name; give each an id of its own", "does not measure humidity [/x] \x1b[2J"]
    server.answers["/clients"] = {"clients": {"pi-1": client(health=well, remarks=remarks)}, "never_seen": []}
    assert fleet.run(FleetSettings(server=server.url)) == fleet.SICK
    said = capsys.readouterr().out
    assert "pi-1: two clients have this name; give each an id of its own" in said
    assert "pi-1: does not measure humidity [/x] ?[2J" in said


def test_who_knocks_without_a_token_is_named_with_what_to_do(server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    knock = {"address": "10.0.0.23", "at": time.time() - 120}
    server.answers["/clients"] = {"clients": {"pi-1": client(health=WELL)}, "never_seen": [], "refused": {"pi-attic": knock}}
    assert fleet.run(FleetSettings(server=server.url)) == 0, "a stranger makes nobody sick"
    said = capsys.readouterr().out
    assert "pi-attic knocked from 10.0.0.23, 2 min ago, without a token that is known" in said
    assert "deploy to it again, or take Bramble off it (uninstall.yml)" in said


def test_the_table_says_what_a_person_wants_to_know(server: StandIn) -> None:
    console = Console(width=180, record=True, file=io.StringIO())
    fleet.show(fleet.read(FleetSettings(server=server.url)), console)
    text = console.export_text()
    for said in (
        "pi-1",
        "there",
        "4 s ago",
        "61",
        "under-voltage",
        "210",
        "2.0",
        "-1.2",
        "gone 2 h",
        "[/odd]",
        "roof is gone, [bold]x is gone, 12,345 missed",
        "last committed round 7",
        "climate: of those that forecast it, 4 by personal, 1 by global",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("disk", "said"), [("read-only", "disk read-only"), ("full", "disk full"), ("failing", "disk fails"), ("ok", "2.0"), (None, "2.0")]
)
def test_a_disk_that_takes_nothing_is_named_where_its_room_would_stand(server: StandIn, disk: str | None, said: str) -> None:
    server.answers["/clients"] = {"clients": {"pi-1": client(health={**HEALTH, "disk": disk})}}
    console = Console(width=180, record=True, file=io.StringIO())
    fleet.show(fleet.read(FleetSettings(server=server.url)), console)
    assert said in console.export_text()


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({}, True),
        ({"connected": False}, False),
        ({"health": None}, False),
        ({"health": {**HEALTH, "sample_age": None}}, False),
        ({"health": {**HEALTH, "sample_age": 185.0}}, True),
        ({"health": {**HEALTH, "sample_age": 195.0}}, False),
        ({"health": {**HEALTH, "sample_age": 100.0}, "health_at": time.time() - 1000}, False),
        ({"health": {**HEALTH, "sample_age": None, "sample_every": None}}, True),
    ],
    ids=["measures", "gone", "never reported", "no sample", "a little late", "too late", "report is old", "measures on demand only"],
)
def test_fresh_is_three_intervals(change: dict[str, Any], fresh: bool) -> None:
    assert fleet.fresh(client(**change), time.time()) is fresh


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 401, "error": "Authorization: expected 'Bearer'"}, "Authorization: expected 'Bearer'; give a token with --token-file"),
        (502, r"status 502\) is not a Bramble server; check --server"),
        (200, "is not a Bramble server; check --server"),
    ],
    ids=["refused with a sentence", "a proxy's page", "not JSON"],
)
def test_a_refusal_is_a_sentence(server: StandIn, answer: Any, said: str) -> None:
    server.answers["/clients"] = answer
    with pytest.raises(ServerError, match=said):
        fleet.read(FleetSettings(server=server.url))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"nothing.*check --token-file"):
        fleet.read(FleetSettings(token_file=tmp_path / "nothing"))
    with pytest.raises(ServerError, match=r"nothing; check --ca"):
        fleet.read(FleetSettings(ca=tmp_path / "nothing"))


def test_a_server_that_is_down_is_named() -> None:
    with pytest.raises(ServerError, match=r"No server answers at http://127\.0\.0\.1:1"):
        fleet.read(FleetSettings(server="http://127.0.0.1:1"))


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (-3, "0 s"), (119, "119 s"), (150, "2 min"), (7300, "2 h"), (200_000, "2 d")])
def test_spans_are_said_as_a_person_says_them(seconds: float, said: str) -> None:
    assert fleet.span(seconds) == said


def test_a_doubted_sensor_is_named_beside_one_that_is_gone() -> None:
    said = fleet._sensors({**HEALTH, "sensors_doubted": ["attic", "[bold]y"]})
    assert (
        Console(width=200).render_str(said).plain == "roof is gone, [bold]x is gone, attic is doubtful, [bold]y is doubtful, 12,345 missed"
    )


def test_who_speaks_an_older_version_of_the_contract_is_shown_and_nothing_where_nobody_does(server: StandIn) -> None:
    def shown() -> str:
        console = Console(file=io.StringIO(), width=200)
        fleet.show(fleet.read(FleetSettings(server=server.url)), console)
        return str(console.file.getvalue())  # type: ignore[attr-defined]

    server.answers["/clients"]["clients"]["pi-1"]["protocol"] = 2
    assert "contract" not in shown()
    server.answers["/clients"]["clients"]["pi-2"]["protocol"] = 1
    [head, *lines] = [line for line in shown().splitlines() if "contract" in line or "version 1" in line]
    assert "contract" in head
    assert ["pi-2" in line for line in lines] == [True]


def test_a_server_that_is_older_than_the_command_is_named_as_that(server: StandIn) -> None:
    server.answers["/models"] = {"status": 404, "error": "nothing is at /models"}
    with pytest.raises(ServerError, match=r"^nothing is at /models: the server is older than this command; upgrade it\.$"):
        Server(server.url).models()
