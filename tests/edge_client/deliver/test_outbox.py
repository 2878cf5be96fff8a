from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.deliver.outbox import MOST_ANSWERS, Outbox


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    made: list[Outbox] = []

    def build(cap_bytes: int = 1 << 20) -> Outbox:
        made.append(Outbox(tmp_path / "outbox.db", cap_bytes))
        return made[-1]

    yield build
    for outbox in made:
        outbox.close()


def drain(outbox: Outbox) -> list[Any]:
    sent = []
    while (item := outbox.next()) is not None:
        sent.append(item.payload)
        outbox.remove(item)
    return sent


def test_what_was_put_comes_back_with_its_bytes_and_its_note(make: Callable[..., Outbox]) -> None:
    make().put_answer("training_complete", {"round": 3, "weights": b"\x00\xff\x80", "metrics": {"loss": 0.5}}, {"tested_until": 12.5})
    item = make().next()
    assert item is not None
    assert item.event == "training_complete"
    assert item.payload == {"round": 3, "weights": b"\x00\xff\x80", "metrics": {"loss": 0.5}}
    assert item.note == {"tested_until": 12.5}


def test_an_answer_goes_before_readings_and_readings_in_order(make: Callable[..., Outbox]) -> None:
    outbox = make()
    for part in range(3):
        outbox.put_readings(f"cycle 1, part {part}", "data_update", {"part": part})
    outbox.put_answer("training_failed", {"round": 1, "reason": "no data"}, {})
    assert drain(outbox) == [{"round": 1, "reason": "no data"}, {"part": 0}, {"part": 1}, {"part": 2}]
    assert outbox.next() is None


def test_a_newer_answer_takes_the_place_of_an_older(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_answer("training_complete", {"round": 1}, {})
    outbox.put_answer("training_failed", {"round": 2}, {})
    assert drain(outbox) == [{"round": 2}]


def test_removing_an_answer_that_was_replaced_while_it_was_sent_keeps_the_new_one(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_answer("training_complete", {"round": 1}, {})
    sent = outbox.next()
    outbox.put_answer("training_complete", {"round": 2}, {})
    assert sent is not None
    outbox.remove(sent)
    assert drain(outbox) == [{"round": 2}]


def test_no_number_is_used_again_even_after_everything_was_forgotten(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_answer("training_complete", {"round": 1}, {})
    sent = outbox.next()
    assert sent is not None
    outbox.clear()
    outbox.put_answer("training_complete", {"round": 2}, {})
    outbox.remove(sent)
    assert drain(outbox) == [{"round": 2}]


def test_readings_put_again_under_the_same_key_are_sent_once(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_readings("cycle 1, part 0", "data_update", {"value": 1})
    outbox.put_readings("cycle 1, part 0", "data_update", {"value": 2})
    assert drain(outbox) == [{"value": 2}]


def test_a_full_outbox_drops_the_oldest_readings_says_so_once_and_never_drops_an_answer(
    make: Callable[..., Outbox], caplog: pytest.LogCaptureFixture
) -> None:
    outbox = make(cap_bytes=1000)
    outbox.put_answer("training_complete", {"round": 1, "weights": bytes(5000)}, {})
    for part in range(20):
        outbox.put_readings(str(part), "data_update", {"part": part, "padding": "x" * 100})
    kept = drain(outbox)
    assert kept[0]["round"] == 1
    parts = [payload["part"] for payload in kept[1:]]
    assert parts == list(range(20 - len(parts), 20))
    assert 5 < len(parts) < 10
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_one_message_larger_than_the_cap_is_still_sent(make: Callable[..., Outbox]) -> None:
    outbox = make(cap_bytes=10)
    outbox.put_readings("1", "data_update", {"padding": "x" * 100})
    assert len(drain(outbox)) == 1


def test_wait_returns_what_another_thread_puts(make: Callable[..., Outbox]) -> None:
    outbox = make()
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(outbox.wait(30)))
    thread.start()
    outbox.put_readings("1", "data_update", {"value": 1})
    thread.join(30)
    assert [item.payload for item in got] == [{"value": 1}]


def test_wait_gives_up_and_wake_ends_it_early(make: Callable[..., Outbox]) -> None:
    outbox = make()
    assert outbox.wait(0.01) is None
    thread = threading.Thread(target=outbox.wait, args=(300,))
    thread.start()
    while thread.is_alive():
        outbox.wake()
        thread.join(0.01)


def test_a_full_disk_keeps_the_answer_in_memory_until_it_is_sent(make: Callable[..., Outbox], caplog: pytest.LogCaptureFixture) -> None:
    outbox = make()
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    outbox.put_answer("training_complete", {"round": 4, "weights": bytes(100_000)}, {"tested_until": 1.0})
    outbox.put_readings("1", "data_update", {"padding": "x" * 100_000})
    assert "full" in caplog.text
    item = outbox.answer()
    assert item is not None
    assert item.payload["weights"] == bytes(100_000)
    assert len(drain(outbox)) == 1


CHILD = """
import sys
from pathlib import Path
from bramble_client.deliver.outbox import MOST_ANSWERS, Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(1, 10**9):
    outbox.put_answer("training_complete", {"round": number, "weights": bytes(40_000)}, {"tested_until": float(number)})
    print(number, flush=True)
"""


def test_an_answer_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for kills in range(1, 5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = [int(next(child.stdout)) for _ in range(kills * 7)]
        os.kill(child.pid, signal.SIGKILL)
        said += [int(line) for line in child.stdout if line.strip()]
        child.stdout.close()
        child.wait()
        outbox = Outbox(path)
        item = outbox.next()
        assert item is not None
        # the one it spoke of last, or the one it had committed and not yet spoken of
        assert item.payload["round"] in (said[-1], said[-1] + 1)
        assert item.payload["weights"] == bytes(40_000)
        assert item.note == {"tested_until": float(item.payload["round"])}
        outbox.remove(item)
        assert outbox.next() is None
        outbox.close()


def test_each_task_has_an_answer_of_its_own_and_they_go_in_order(make: Callable[..., Outbox]) -> None:
    outbox = make()
    for number, task in ((1, "a"), (2, "b"), (3, "a")):
        outbox.put_answer("training_complete", {"round": number}, {}, task)
    first = outbox.answer("a")
    assert first is not None
    assert (first.payload, first.task) == ({"round": 3}, "a")
    assert outbox.answer("c") is None
    assert drain(outbox) == [{"round": 2}, {"round": 3}]


def test_one_tasks_answer_is_forgotten_alone(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_answer("training_complete", {"round": 1}, {}, "a")
    outbox.put_answer("training_complete", {"round": 2}, {}, "b")
    outbox.put_readings("1", "data_update", {"value": 1})
    outbox.clear("a")
    assert drain(outbox) == [{"round": 2}, {"value": 1}]


def test_the_answer_of_a_release_that_knew_one_task_is_sent_beside_those_of_today(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox.put_answer("training_complete", {"round": 1}, {"request": "ab"})  # it has no name there
    found = outbox.answer("climate")
    assert found is not None
    assert (found.note, found.task) == ({"request": "ab"}, "")
    outbox.put_answer("training_complete", {"round": 2}, {}, "climate")
    assert drain(outbox) == [{"round": 1}, {"round": 2}]


def test_a_full_disk_keeps_an_answer_of_each_task_in_memory(make: Callable[..., Outbox]) -> None:
    outbox = make()
    outbox._db.execute("PRAGMA query_only = 1")
    for number, task in ((1, "a"), (2, "b"), (3, "a")):
        outbox.put_answer("training_complete", {"round": number}, {}, task)
    outbox._db.execute("PRAGMA query_only = 0")
    assert sorted(payload["round"] for payload in drain(outbox)) == [2, 3]


def test_however_many_tasks_a_server_names_the_disk_does_not_fill(make: Callable[..., Outbox]) -> None:
    outbox = make()
    for number in range(MOST_ANSWERS + 4):
        outbox.put_answer("training_complete", {"round": number}, {}, f"t{number}")
    assert drain(outbox) == [{"round": number} for number in range(4, MOST_ANSWERS + 4)]
