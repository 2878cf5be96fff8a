"""What the port promises, over real sockets, for each engine: an engine that passes this can carry a server's messages.

The transport runs in a process of its own, and its clients tell it what to do, see ``carrier.py``.
"""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.network import Proxy
from tests.server.pi import Closed, Pi, Refused
from tests.server.process import ROOT
from tests.server.transport.carrier import ENGINES, LARGEST, TEXT, pattern
from tests.waiting import wait_for

LARGE = 1 << 24
"""Bytes: far more than sockets buffer, so that one send never takes it whole."""
PATIENCE = 2.0
"""Seconds without a byte after which the brisk one counts a client as gone."""


class Carrier:
    """Such a process."""

    def __init__(self, engine: str, interval: float, timeout: float) -> None:
        script = str(ROOT / "tests" / "server" / "transport" / "carrier.py")
        command = [sys.executable, script, engine, str(interval), str(timeout)]
        # One heap for all threads: what a heap of each keeps is the C library's, and no engine's.
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "MALLOC_ARENA_MAX": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def tell(self, what: str, value: Any) -> Any:
        """Have it do something; a connection for each, for the teller answers no pings in between."""
        with Pi(self.url, "teller") as teller:
            return teller.call(what, value)

    def notes(self, name: str, *kinds: str) -> list[list[Any]]:
        """What it was told of a client."""
        return [note for note in self.tell("notes", name) if note[0] in kinds]

    def noted(self, name: str, kind: str) -> Any:
        """Wait until it was told something of a client; return it."""
        return wait_for(lambda: self.notes(name, kind), f"{name} to be noted as {kind}")[0][1]

    def end(self) -> str:
        """Ask it to end, which it does in good order; return what it said in the end."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return str(said)


@contextmanager
def running(engine: str, interval: float, timeout: float) -> Iterator[Carrier]:
    carrier = Carrier(engine, interval, timeout)
    try:
        yield carrier
    finally:
        carrier.end()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def carrier(engine: str) -> Iterator[Carrier]:
    """One that asks nobody whether they are there while a test lasts: a test's client answers only when it waits for something."""
    with running(engine, 300, 300) as carrier:
        yield carrier


@pytest.fixture(scope="module")
def brisk(engine: str) -> Iterator[Carrier]:
    with running(engine, PATIENCE / 2, PATIENCE / 2) as carrier:
        yield carrier


def slow_reader(carrier: Carrier, name: str) -> Pi:
    """Connect a client whose side of the connection holds next to nothing."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    end.settimeout(60)
    end.connect(("127.0.0.1", carrier.port))
    return Pi(carrier.url, name, socket=end, within=60.0)


def digest(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "digest": hashlib.sha256(data).hexdigest()}


def test_large_messages_go_both_ways_byte_for_byte(carrier: Carrier) -> None:
    with Pi(carrier.url, "both ways") as pi:
        data = pattern(LARGE, 7)
        assert pi.call("take", {"data": data}) == digest(data)
        carrier.tell("send", {"to": ["both ways"], "size": LARGE})
        assert pi.next("some") == {"number": 0, "data": pattern(LARGE)}


def test_what_is_sent_arrives_in_that_order_whatever_its_size(carrier: Carrier) -> None:
    with Pi(carrier.url, "in order") as pi:
        carrier.tell("send", {"to": ["in order"], "size": 10, "every_second": 1 << 18, "count": 40})
        assert [pi.next("some")["number"] for _ in range(40)] == [*range(40)]
        asked = [pi.ask("take", {"number": number, "data": bytes(1 << 18 if number % 2 else 10)}) for number in range(40)]
        assert [pi.answer(which)["bytes"] for which in asked] == [1 << 18 if number % 2 else 10 for number in range(40)]
        assert [detail for _, detail in carrier.notes("in order", "took")] == [*range(40)]


def test_who_reads_slowly_holds_nobody_else_up_and_gets_it_all(carrier: Carrier) -> None:
    with slow_reader(carrier, "slow") as slow, Pi(carrier.url, "quick") as quick:
        assert carrier.tell("send", {"to": ["slow", "quick"], "size": LARGE}) == 2
        assert quick.next("some")["data"] == pattern(LARGE)
        assert carrier.tell("pending", "slow") > LARGE // 2, "it waits for who does not take it"
        wait_for(lambda: carrier.tell("pending", "quick") == 0, "what was taken to wait no more")
        for number in range(20):
            assert quick.call("echo", number) == number
        assert slow.next("some")["data"] == pattern(LARGE)
        wait_for(lambda: carrier.tell("pending", "slow") == 0, "nothing to wait any more")


def test_a_message_to_many_is_not_copied_for_each(carrier: Carrier) -> None:
    many = [slow_reader(carrier, f"many {number}") for number in range(12)]
    process = psutil.Process(carrier.process.pid)
    before = process.memory_info().rss
    carrier.tell("send", {"to": [f"many {number}" for number in range(12)], "size": LARGE})
    assert all(carrier.tell("pending", f"many {number}") > LARGE // 2 for number in range(12)), "all of it is under way at once"
    assert process.memory_info().rss - before < 6 * LARGE
    for pi in many:
        pi.close()
    wait_for(lambda: all(carrier.tell("pending", f"many {number}") == 0 for number in range(12)), "nothing to wait for who is gone")


def test_a_flood_is_read_no_faster_than_it_is_answered_and_others_are_served(carrier: Carrier) -> None:
    process = psutil.Process(carrier.process.pid)
    before, stopped = process.memory_info().rss, False
    with Pi(carrier.url, "flood") as flood, Pi(carrier.url, "good") as good:
        flood.connection.settimeout(1.0)
        for number in range(4000):
            if number % 500 == 0:
                assert good.call("echo", number) == number
            try:
                flood.emit("take", {"data": bytes(60_000)}) if number % 2 else flood.ask("echo", "x" * 60_000)
            except (Closed, TimeoutError):
                stopped = True
                break
        assert good.call("echo", "after") == "after"
    assert stopped, "240 MB were read of a client that takes no answer"
    assert process.memory_info().rss - before < 100 << 20


@pytest.mark.parametrize(("name", "event", "value"), [("data", "take", {"data": bytes(LARGEST + 1)}), ("text", "echo", "x" * (TEXT + 1))])
def test_what_is_larger_than_agreed_ends_its_connection_before_it_is_all_there(carrier: Carrier, name: str, event: str, value: Any) -> None:
    with Pi(carrier.url, f"large {name}") as pi:
        with suppress(Closed):
            pi.emit(event, value)
        pi.wait_closed()
    assert "is larger than the" in carrier.noted(f"large {name}", "complaint")


def test_before_the_handshake_nobody_may_say_much(carrier: Carrier) -> None:
    with Pi(carrier.url, connect=False) as stranger:
        with suppress(Closed):
            stranger.send("42" + "x" * (1 << 17))
        stranger.wait_closed()
    assert any("is larger than the" in sentence for _, sentence in carrier.notes("", "complaint"))


def test_who_is_refused_hears_why_and_is_heard_no_more(carrier: Carrier) -> None:
    with pytest.raises(Refused, match=r"who are you\?"):
        Pi(carrier.url, auth={"nobody": 1})


@pytest.mark.parametrize("frame", ["4", "9", "42", '42{"a"', '452-["take",{"_placeholder":true,"num":0}]', "nonsense"])
def test_what_is_no_message_ends_its_connection_alone_and_says_whose(carrier: Carrier, frame: str) -> None:
    name = f"talks {frame[:6]}"
    with Pi(carrier.url, name) as pi, Pi(carrier.url, "beside") as beside:
        pi.send(frame)
        pi.wait_closed()
        assert "is not a" in carrier.noted(name, "complaint")
        carrier.noted(name, "gone")
        assert len(carrier.notes(name, "gone")) == 1
        assert beside.call("echo", 1) == 1


@pytest.mark.parametrize("event", ["connect", "disconnect", "unheard of"])
def test_an_event_of_any_name_is_the_receivers(carrier: Carrier, event: str) -> None:
    with Pi(carrier.url, "names") as pi:
        assert pi.call(event, 1) == {"unknown": event}
        assert pi.call("echo", 2) == 2


def test_what_is_not_answered_is_not_acknowledged(carrier: Carrier) -> None:
    with Pi(carrier.url, "waits") as pi:
        first, second = pi.ask("nothing", 1), pi.ask("echo", 2)
        assert pi.answer(second) == 2
        assert first not in pi._acks


def test_closing_does_not_wait_for_what_is_on_its_way(carrier: Carrier) -> None:
    with slow_reader(carrier, "stuck") as stuck:
        carrier.tell("send", {"to": ["stuck"], "size": LARGE})
        assert carrier.tell("pending", "stuck") > LARGE // 2
        carrier.tell("close", "stuck")
        carrier.noted("stuck", "gone")
        with pytest.raises(Closed):
            stuck.next("some")
        assert len(carrier.notes("stuck", "gone")) == 1
        wait_for(lambda: carrier.tell("pending", "stuck") == 0, "nothing to wait for who is gone")
        with Pi(carrier.url, "another") as another:
            assert carrier.tell("send", {"to": ["stuck"], "size": 10}) == 1
            assert carrier.tell("send", {"to": [], "size": 10}) == 0
            assert another.call("echo", 1) == 1
            assert not another._events, "what was for one that is gone, or for nobody, is for nobody"


def test_who_breaks_off_in_a_large_message_leaves_its_place_to_others(carrier: Carrier) -> None:
    for number in range(10):  # more than there are places
        pi = Pi(carrier.url, f"breaks {number}")
        pi.send('451-["take",{"data":{"_placeholder":true,"num":0}}]')
        pi.connection.sendall(b"\x82\xff" + LARGE.to_bytes(8, "big") + bytes(4) + bytes(3 << 20))
        pi.close()
    for number in range(10):
        assert len(carrier.notes(f"breaks {number}", "took")) == 0
        carrier.noted(f"breaks {number}", "gone")
    with Pi(carrier.url, "whole") as pi:
        assert pi.call("take", {"data": pattern(LARGE)}) == digest(pattern(LARGE))


def test_large_messages_that_come_at_once_are_not_all_in_memory(carrier: Carrier) -> None:
    process = psutil.Process(carrier.process.pid)
    pis = [Pi(carrier.url, f"at once {number}", within=120.0) for number in range(16)]
    data, before, peak = pattern(LARGE), process.memory_info().rss, 0
    with ThreadPoolExecutor(len(pis)) as pool:
        answers = [pool.submit(pi.call, "take", {"data": data}) for pi in pis]
        while not all(answer.done() for answer in answers):
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.01)
        assert [answer.result() for answer in answers] == [digest(data)] * len(pis)
    for pi in pis:
        pi.close()
    assert peak - before < 26 * LARGE, "each is there twice while it is put together: all at once are thirty-two"


def test_what_blocks_is_done_beside(carrier: Carrier, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Pi(carrier.url, "blocks") as blocks, Pi(carrier.url, "goes on") as other:
        which = blocks.ask("stand", str(go))
        for number in range(20):
            assert other.call("echo", number) == number
        go.touch()
        assert blocks.answer(which) == "stood"


@pytest.mark.load
def test_who_disappears_is_gone_after_the_agreed_silence(brisk: Carrier) -> None:
    with Proxy(brisk.port) as cable, Pi(f"http://127.0.0.1:{cable.port}", "cut") as cut, Pi(brisk.url, "stays") as stays:
        assert cut.call("echo", 1) == 1
        cable.cut()
        wait_for(lambda: stays.call("notes", "cut")[-1][0] == "gone", "it to be missed")
        assert len(brisk.notes("cut", "gone")) == 1
        assert brisk.notes("stays", "gone") == []


@pytest.mark.load
def test_heartbeats_are_answered_while_large_messages_come_and_who_is_busy_sending_stays(brisk: Carrier) -> None:
    """One sends slowly for longer than it may be silent, and answers no ping, for what it says queues behind its message."""
    data, begun = pattern(LARGE), time.monotonic()
    with Pi(brisk.url, "sends", within=60.0) as sends, Pi(brisk.url, "beats") as beats:
        connection, beaten = sends.connection, [0]

        def slowly(part: Any) -> int:
            slow = time.monotonic() - begun < 2 * PATIENCE
            if slow:
                beaten[0] += 1
                assert beats.call("echo", beaten[0]) == beaten[0]
            return int(connection.send(part[:4096] if slow else part))

        sends.socket._send = slowly  # type: ignore[method-assign, assignment]
        assert sends.call("take", {"data": data}) == digest(data)
        assert beaten[0] > 0
        assert sends.noops > 0, "it heard of the server meanwhile"
        assert brisk.notes("sends", "gone") == []


@pytest.mark.load
def test_who_is_busy_taking_a_large_message_stays(brisk: Carrier) -> None:
    with slow_reader(brisk, "takes") as takes, Pi(brisk.url, "beats") as beats:
        brisk.tell("send", {"to": ["takes"], "size": LARGE})
        begun, number = time.monotonic(), 0
        stream = bytearray()
        while len(stream) < LARGE:
            slow = time.monotonic() - begun < 2 * PATIENCE
            stream += takes.connection.recv(1 << 12 if slow else 1 << 20)
            if slow:
                number += 1
                assert beats.call("echo", number) == number
        assert pattern(LARGE)[: LARGE // 2] in stream
        assert brisk.notes("takes", "gone") == []


def test_asked_to_end_with_large_messages_on_their_way_it_lets_go_of_everybody(engine: str) -> None:
    """Who waited at a socket that was closed under it ended the whole process, now and then: libev watches no file that is gone."""
    carrier, names = Carrier(engine, 300, 300), [f"many {number}" for number in range(20)]
    pis = [slow_reader(carrier, name) for name in names]
    try:
        carrier.tell("send", {"to": names, "size": LARGE, "count": 2})
        assert all(carrier.tell("pending", name) > LARGE for name in names)
        for pi in pis[:10]:  # in the middle of one of their own, too, more of them than there are places
            pi.send('451-["take",{"data":{"_placeholder":true,"num":0}}]')
            pi.connection.sendall(b"\x82\xff" + LARGE.to_bytes(8, "big") + bytes(4) + bytes(1 << 20))
        for pi in pis[5:15]:
            pi.close()
    finally:
        said = carrier.end()
        for pi in pis:
            pi.close()
    assert said == "0 are left\n"


def test_clients_that_come_and_go_at_once_are_each_noted_once(carrier: Carrier) -> None:
    def come_and_go(number: int) -> None:
        with Pi(carrier.url, f"visitor {number}") as pi:
            assert pi.call("echo", number) == number

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(24):
        carrier.noted(f"visitor {number}", "gone")
        assert [what for what, _ in carrier.notes(f"visitor {number}", "connected", "gone")] == ["connected", "gone"]
