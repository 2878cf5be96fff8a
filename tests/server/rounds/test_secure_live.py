"""Secure rounds over real sockets: what comes of them, who is out, and that nobody's update is to be found anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.server.pi import update
from tests.server.process import LAYOUT, ServerProcess
from tests.server.secure_pi import ACCEPTED, SecurePi, everybody

Join = Callable[[str], SecurePi]
NAMES = ("pi-1", "pi-2", "pi-3", "pi-4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of this module."""
    with ServerProcess(
        tmp_path_factory.mktemp("server"), "--secure", "--min-clients", "4", "--min-updates", "2", "--deadline", "1h"
    ) as process:
        yield process


@pytest.fixture
def pis(server: ServerProcess) -> Iterator[list[SecurePi]]:
    """Four clients that are asked for a round."""
    there = [SecurePi(server.url, name) for name in NAMES]
    server.api.start()
    yield there
    for pi in there:
        pi.close()
    server.empty()


def moved(server: ServerProcess, before: bytes) -> float:
    """Return how far each weight of the model moved."""
    _, data, _ = server.request("GET", "/model", {"Accept": "application/octet-stream"})
    change = np.frombuffer(data, "<f4") - np.frombuffer(before, "<f4")
    assert float(np.ptp(change)) < 1e-5
    return float(change.mean())


def weights(server: ServerProcess) -> bytes:
    _, data, _ = server.request("GET", "/model", {"Accept": "application/octet-stream"})
    return bytes(data)


def test_the_next_model_is_the_mean_of_those_whose_words_came_whoever_leaves_in_which_phase(
    server: ServerProcess, pis: list[SecurePi]
) -> None:
    before, first, last = weights(server), pis[0], pis[-1]
    everybody(pis, stop="masked")
    for number, pi in enumerate(pis[:3]):
        assert pi.deliver(pi.masked(np.full(LAYOUT.size, float(number), np.float32))) == ACCEPTED
    last.close()
    assert server.api.status()["running"] == first.asked.round
    lists = [pi.agreed() for pi in pis[:3]]
    for pi, signed in zip(pis[:3], lists, strict=True):
        assert pi.say("list", signed) == ACCEPTED
    for pi in pis[:3]:
        assert pi.say("open", pi.opening()) == ACCEPTED
    record = server.ended(first.asked.round)
    assert (record["state"], record["updates"]) == ("committed", 3)
    assert moved(server, before) == pytest.approx(1.0, abs=1e-5)
    assert record["metrics"] == pytest.approx(
        {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 75.0, "test_error": 0.5, "test_baseline": 1.0}
    )
    assert record["discipline"] == {"name": "synchronous", "parameters": {"secure": True}}
    parts = record["clients"]
    assert parts["pi-4"]["reason"] == "disconnected"
    assert {parts[name][what] for name in NAMES for what in ("samples", "loss_before", "loss_after", "test", "update_norm")} == {None}


def test_words_in_the_clear_and_other_masked_words_are_refused_and_nobody_else_is_hurt(server: ServerProcess, pis: list[SecurePi]) -> None:
    everybody(pis, stop="masked")
    words = [pi.masked(np.ones(LAYOUT.size, np.float32)) for pi in pis]
    first, second, third, fourth = pis
    number = first.asked.round
    assert first.deliver(words[0]) == ACCEPTED
    assert first.deliver(words[0]) == ACCEPTED, "a repeat is one"
    assert "would tell their difference" in first.deliver(words[1])["reason"]
    assert "masked words alone" in second.call("training_complete", update(number))["reason"]
    assert "bytes were expected" in third.deliver(words[2][:-4])["reason"]
    assert fourth.deliver(words[3]) == ACCEPTED
    record = server.ended(number)
    assert (record["state"], record["reason"]) == ("abandoned", "2 of 4 clients are left after masked, and a secure round needs 3")
    assert server.logged("pi-2: training_complete refused") == 1


def test_a_replayed_key_puts_out_who_sent_it_and_the_round_goes_on(server: ServerProcess, pis: list[SecurePi]) -> None:
    everybody(pis)
    record = server.ended(pis[0].asked.round)
    assert (record["state"], record["updates"]) == ("committed", 4)
    former = pis[0].party.keys()
    server.api.start()
    own = pis[0].begin()
    assert "used in a round before" in pis[0].say("keys", former)["reason"]
    assert "goes on without this client" in pis[0].say("keys", own)["reason"], "out is out"
    everybody(pis[1:])
    record = server.ended(pis[1].asked.round)
    assert (record["state"], record["updates"]) == ("committed", 3)
    assert "its part in the phase keys was refused" in record["clients"]["pi-1"]["reason"]


def test_no_single_client_is_asked_to_try_models(server: ServerProcess, pis: list[SecurePi]) -> None:
    status, answer, _ = server.request("POST", "/evaluations?models=0")
    assert (status, answer["error"].startswith("task small is learnt by secure sums")) == (409, True)
    for pi in pis[:3]:
        pi.call("training_failed", {"round": pi.next("client_update")["round"], "reason": "no data"})


def test_with_too_few_left_a_round_is_abandoned_and_not_opened(server: ServerProcess, pis: list[SecurePi]) -> None:
    before = weights(server)
    everybody(pis, stop="list")
    for pi in pis[2:]:
        pi.close()
    for pi in pis[:2]:
        pi.say("list", pi.agreed())
    record = server.ended(pis[0].asked.round)
    assert (record["state"], record["reason"]) == ("abandoned", "2 of 4 clients are left after list, and a secure round needs 3")
    assert weights(server) == before


def test_nobodys_update_is_in_memory_in_a_file_in_the_log_or_in_an_answer(server: ServerProcess, pis: list[SecurePi]) -> None:
    """The words before they were masked, the change, and the weights that it leads to: none of them, of no client."""
    everybody(pis, stop="masked")
    random, secrets, masks = np.random.default_rng(5), [], []
    base = pis[0].asked.weights
    for pi in pis:
        change = random.normal(0, 0.3, LAYOUT.size).astype(np.float32)
        masked = pi.masked(change)
        assert pi.deliver(masked) == ACCEPTED
        secrets += [change.tobytes(), (base + change).astype(np.float32).tobytes(), pi.words[: LAYOUT.size].tobytes()]
        masks.append(masked[: 4 * LAYOUT.size])
    memory(server, secrets)  # while it holds all there is to have
    for pi in pis:
        assert pi.say("list", pi.agreed()) == ACCEPTED
    for pi in pis:
        assert pi.say("open", pi.opening()) == ACCEPTED
    assert server.ended(pis[0].asked.round)["state"] == "committed"
    assert memory(server, [weights(server)]) > 0, "what is there is found"
    memory(server, secrets)
    for path in Path(server.folder).rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [each for each in (*secrets, *masks) if each in content], path
    assert all(client["round"] != pis[0].asked.round for client in server.get("/model/clients").values())


def memory(server: ServerProcess, wanted: list[bytes]) -> int:
    """Look through a server's memory; return how often it was found, which is never where several are looked for."""
    found = 0
    maps = Path(f"/proc/{server.process.pid}/maps").read_text().splitlines()
    with open(f"/proc/{server.process.pid}/mem", "rb", buffering=0) as file:
        for line in maps:
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            if not re.match(r"\S+ rw", line):
                continue
            try:
                file.seek(start)
                content = file.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found += sum(content.count(each) for each in wanted)
    assert len(wanted) == 1 or not found
    return found
