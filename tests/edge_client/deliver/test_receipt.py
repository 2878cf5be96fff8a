"""The receipt of what left a client: whole, chained, in a file that survives power cuts, resets and full disks."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bramble import cli
from bramble_client.deliver.link import ABOUT, Link, size_of
from bramble_client.deliver.receipt import FILE, Receipt, read
from bramble_protocol import chain
from bramble_protocol.chain import NOTHING, digest
from bramble_protocol.errors import BrambleError
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for

SERVER = "https://192.0.2.1:5000"
ANSWER = {"round": 7, "task": "climate", "weights": b"\x00" * 4000, "samples": 30, "metrics": {"loss_after": 0.25}}


class Clock:
    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leave(receipt: Receipt, event: str, message: dict[str, Any]) -> None:
    receipt.leaves(event, size_of(message), list(message), {name: message[name] for name in ABOUT if name in message})


def lines(folder: Path) -> list[str]:
    return (folder / FILE).read_text("utf-8").splitlines()


def test_an_answer_is_a_line_of_its_own_with_its_round_its_size_and_the_names_of_its_parts_before_it_is_sent(
    tmp_path: Path, clock: Clock
) -> None:
    leave(Receipt(tmp_path, SERVER, clock), "training_complete", ANSWER)
    [line] = read(tmp_path)
    assert line == {
        **{"n": 1, "at": "2027-01-15T08:00:00Z", "event": "training_complete", "round": 7, "task": "climate"},
        **{"bytes": size_of(ANSWER), "parts": ["metrics", "round", "samples", "task", "weights"], "to": SERVER, "after": NOTHING},
    }
    assert 4000 < line["bytes"] < 4200
    assert "0.25" not in lines(tmp_path)[0], "no number of a message is in its receipt"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_what_belongs_to_no_round_is_counted_and_shares_a_line_an_hour(tmp_path: Path, clock: Clock) -> None:
    receipt = Receipt(tmp_path, SERVER, clock)
    for _ in range(2 * 121):
        leave(receipt, "health", {"uptime": 1})
        clock.now += 30
    first, second = read(tmp_path)
    assert (first["messages"], first["bytes"], first["until"]) == (121, 121 * size_of({"uptime": 1}), "2027-01-15T09:00:00Z")
    assert second["messages"] == 121
    leave(receipt, "health", {"uptime": 1})
    receipt.close()
    assert read(tmp_path).lines[-1]["messages"] == 1, "what is counted when the client stops is written then"


def test_an_answer_brings_along_what_was_counted_before_it(tmp_path: Path, clock: Clock) -> None:
    receipt = Receipt(tmp_path, SERVER, clock)
    leave(receipt, "health", {})
    leave(receipt, "training_complete", ANSWER)
    assert [line["event"] for line in read(tmp_path)] == ["health", "training_complete"]


def test_the_chain_goes_on_over_restarts_and_a_line_that_the_power_cut_is_taken_back(tmp_path: Path) -> None:
    leave(Receipt(tmp_path, SERVER), "training_complete", ANSWER)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"n":2,"at":"20')
    receipt = Receipt(tmp_path, SERVER)
    leave(receipt, "training_complete", {**ANSWER, "round": 8})
    found = read(tmp_path)
    assert [(line["n"], line["round"]) for line in found] == [(1, 7), (2, 8)]
    assert found.broken is None
    assert found.lines[1]["after"] == digest(lines(tmp_path)[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda texts: texts[:2] + texts[3:], r"line 3 of receipt.jsonl does not follow the one before: 1 are missing before it"),
        (
            lambda texts: [*texts[:1], texts[1].replace('"bytes":', '"bytes":9'), *texts[2:]],
            "line 3 of receipt.jsonl does not follow the one before$",
        ),
        (lambda texts: [texts[1], texts[0], *texts[2:]], "line 2 of receipt.jsonl does not follow"),
        (lambda texts: [*texts[:1], "what", *texts[2:]], "line 2 of receipt.jsonl is no line of it"),
        (lambda texts: [*texts[:1], "[]", *texts[2:]], "line 2 of receipt.jsonl is no line of it"),
    ],
)
def test_a_line_that_is_missing_changed_or_moved_shows_and_the_command_says_so(change: Any, says: str, tmp_path: Path) -> None:
    receipt = Receipt(tmp_path, SERVER)
    for number in range(5):
        leave(receipt, "training_complete", {**ANSWER, "round": number})
    assert read(tmp_path).broken is None
    (tmp_path / FILE).write_text("".join(f"{line}\n" for line in change(lines(tmp_path))))
    broken = read(tmp_path).broken
    assert broken
    assert re.search(says, broken)
    result = CliRunner().invoke(cli.app, ["client", "receipt", "--data-dir", str(tmp_path)])
    assert result.exit_code == 4
    assert f"The chain is broken: {broken}." in result.stdout


def test_a_full_file_makes_room_and_the_chain_goes_through_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "FULL", 3000)
    receipt = Receipt(tmp_path, SERVER)
    for number in range(40):
        leave(receipt, "training_complete", {**ANSWER, "round": number})
    assert chain.older(tmp_path / FILE).exists()
    found = read(tmp_path)
    assert found.broken is None
    assert found.lines[0]["n"] > 1, "the oldest were let go"
    assert found.lines[-1]["round"] == 39
    leave(Receipt(tmp_path, SERVER), "training_complete", ANSWER)
    assert read(tmp_path).broken is None


def test_what_the_disk_does_not_take_is_written_when_it_does_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    receipt = Receipt(tmp_path, SERVER)
    leave(receipt, "training_complete", {**ANSWER, "round": 99})
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    for number in range(3):
        leave(receipt, "training_complete", {**ANSWER, "round": number})
    (tmp_path / FILE).rmdir()
    leave(receipt, "training_complete", {**ANSWER, "round": 3})
    found = read(tmp_path)
    assert [line["round"] for line in found] == [0, 1, 2, 3]
    assert found.broken is None
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


def test_a_disk_that_gives_nothing_back_keeps_no_client_from_starting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "gone"
    receipt = Receipt(folder, SERVER)
    leave(receipt, "training_complete", ANSWER)
    folder.mkdir()
    leave(receipt, "training_complete", {**ANSWER, "round": 8})
    assert [line["round"] for line in read(folder)] == [7, 8]
    assert "cannot be written" in caplog.text


def test_a_file_that_is_none_begins_a_new_chain_and_ends_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe what\n")
    receipt = Receipt(tmp_path, SERVER)
    leave(receipt, "training_complete", ANSWER)
    assert "cannot be read on from" in caplog.text


def test_the_command_says_what_left_in_lines_and_in_all(tmp_path: Path) -> None:
    receipt = Receipt(tmp_path, SERVER)
    leave(receipt, "health", {"uptime": 1})
    leave(receipt, "health", {"uptime": 2})
    leave(receipt, "training_complete", ANSWER)
    leave(receipt, "evaluated", {"evaluation": 3, "task": "climate", "samples": 40})
    said = CliRunner().invoke(cli.app, ["client", "receipt", "--data-dir", str(tmp_path)])
    assert said.exit_code == 0
    assert "training_complete of round 7 (climate): " in said.stdout
    assert "metrics, round, samples, task, weights" in said.stdout
    assert "health              " + f"{2:>10,} messages, {2 * size_of({'uptime': 1})} bytes" in said.stdout
    assert "3 lines, none missing." in said.stdout
    told = json.loads(CliRunner().invoke(cli.app, ["client", "receipt", "--data-dir", str(tmp_path), "--lines", "1", "--json"]).stdout)
    assert [line["evaluation"] for line in told["lines"]] == [3]
    assert told["total"]["health"][0] == 2
    assert told["broken"] is None


def test_where_there_is_none_it_is_said_what_that_means(tmp_path: Path) -> None:
    with pytest.raises(BrambleError, match=f"there is none in {tmp_path}: nothing has left this client yet, or its --data-dir is another"):
        read(tmp_path)


def test_all_that_a_link_sends_is_on_it_and_the_token_is_not(server: Server, tmp_path: Path) -> None:
    receipt = Receipt(tmp_path, server.url)
    link = Link(server.url, {"client_id": "pi-1", "token": "s3cret"}, longest_pause=0.05, timeout=10.0, leaves=receipt.leaves)
    link.start()
    try:
        assert link.wait_up(30)
        assert link.call("training_complete", ANSWER, 30) == {"accepted": True}
    finally:
        link.stop()
    receipt.close()
    assert [line["event"] for line in read(tmp_path)] == ["connect", "training_complete"]
    assert "s3cret" not in (tmp_path / FILE).read_text()
    wait_for(lambda: not link.up, "the link to end")


def test_an_update_is_there_with_what_was_done_to_it_and_what_all_come_to(tmp_path: Path, clock: Clock) -> None:
    done = {"clip": 1.0, "noise": 2.85, "epsilon": 1.386, "delta": 1e-5}
    receipt = Receipt(tmp_path, SERVER, clock, lambda number: done if number == 7 else {})
    leave(receipt, "training_complete", ANSWER)
    leave(receipt, "training_complete", {**ANSWER, "round": 8})
    leave(receipt, "training_failed", {"round": 9, "reason": "no"})
    assert read(tmp_path).lines[0].items() >= done.items()
    shown = CliRunner().invoke(cli.app, ["client", "receipt", "--data-dir", str(tmp_path)]).stdout.splitlines()
    assert shown[0].endswith("; shortened to 1, noise of 2.85 added to each number here, epsilon 1.386 so far (delta 1e-05)")
    assert shown[1].endswith("; without noise")
    assert "noise" not in shown[2]
    told = json.loads(CliRunner().invoke(cli.app, ["client", "receipt", "--json", "--data-dir", str(tmp_path)]).stdout)
    assert told["lines"][0].items() >= done.items()
