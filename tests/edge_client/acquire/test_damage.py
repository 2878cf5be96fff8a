"""Stores with damaged pages: a client goes on with what can be read, at a start and while it runs, and says once what is lost."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench import damage
from bramble_client.acquire import database
from bramble_client.acquire.recorder import Recorder
from bramble_client.commands import check
from bramble_client.deliver.outbox import Outbox
from bramble_client.settings import ClientSettings
from bramble_protocol import BrambleError

SAMPLES = 4000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of some thirty pages that nothing is wrong with."""
    path = tmp_path_factory.mktemp("whole") / "readings.db"
    damage.make(path, SAMPLES)
    return path


@pytest.mark.parametrize("kind", damage.KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_page_costs_its_own_samples_and_no_start(
    whole: Path, tmp_path: Path, kind: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "readings.db"
    shutil.copy(whole, path)
    damage.damage(path, random.Random(seed), kind, 1)
    was = path.read_bytes()
    samples, wrong = damage.kept(path)
    assert wrong == 0
    assert samples >= SAMPLES - 3 * 160, "a page holds some 150 samples"
    aside = [file for file in tmp_path.iterdir() if "damaged" in file.name and not file.name.endswith(("-wal", "-shm"))]
    assert len(aside) == len(caplog.messages) <= 1
    if aside:
        assert aside[0].read_bytes() == was
        assert f"set aside as {aside[0].name}, and a new one goes on with what could be read of it: {samples:,} samples" in caplog.text
    assert database.verdict(path) is None


@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_damage_that_shows_while_a_client_runs_is_repaired_at_once(
    whole: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "readings.db"
    shutil.copy(whole, path)
    recorder = Recorder(path, 10 * SAMPLES)
    damage.damage(path, random.Random(7), kind, 8)
    for i in range(50):
        recorder.append(damage.START + (SAMPLES + i) * damage.STEP_S, damage.truth(SAMPLES + i))
        recorder.label(damage.START + i, "sitting")
        recorder.set("tested_until", str(i))
    t, values = recorder.columns(["temperature", "humidity", "pressure"])
    assert len(t) >= SAMPLES / 2
    assert t[-1] == damage.START + (SAMPLES + 49) * damage.STEP_S, "what came after is all there"
    for moment, row in zip(t.tolist(), values.tolist(), strict=True):
        assert row == [*damage.truth(round((moment - damage.START) / damage.STEP_S)).values()]
    assert len(recorder.labels()) >= 50
    assert recorder.get("tested_until") == "49"
    recorder.close()
    assert len([message for message in caplog.messages if "is damaged" in message]) == 1
    assert database.verdict(path) is None


def test_a_page_one_that_is_gone_costs_the_file_and_not_the_client(whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "readings.db"
    path.write_bytes(bytes(4096) + whole.read_bytes()[4096:])
    recorder = Recorder(path, 100)
    recorder.append(1.0, {"temperature": 1.0})
    assert recorder.columns(["temperature"])[1].tolist() == [[1.0]]
    recorder.close()
    assert "0 samples (others are lost)" in caplog.text


def test_what_is_no_number_any_more_is_no_sample(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    shutil.copy(whole, path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE samples SET temperature = 'warm' WHERE t = ?", (damage.START + 60,))
    db.close()
    recorder = Recorder(path, 10 * SAMPLES)
    assert len(recorder.columns(["temperature"])[0]) == SAMPLES - 1
    recorder.close()


def test_a_table_that_vanished_is_made_anew(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    shutil.copy(whole, path)
    recorder = Recorder(path, 10 * SAMPLES)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE meta")
    db.close()
    recorder.set("tested_until", "5.0")
    assert recorder.get("tested_until") == "5.0"
    assert len(recorder.columns(["temperature"])[0]) == SAMPLES
    recorder.close()


def test_a_dying_disk_is_not_filled_with_damaged_files(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PAUSE_S", 0.0)
    path = tmp_path / "readings.db"
    for seed in range(6):
        shutil.copy(whole, path)
        damage.damage(path, random.Random(seed), "noise", 2)
        damage.kept(path)
    assert len([*tmp_path.glob("readings.db.damaged-*")]) == database.KEEP


def outbox_with(path: Path, messages: int) -> Outbox:
    outbox = Outbox(path)
    for i in range(messages):
        outbox.put_readings(str(i), "data_update", {"number": i, "padding": "x" * 3000})
    outbox.put_answer("training_complete", {"round": 7, "weights": bytes(20_000)}, {"tested_until": 1.0})
    return outbox


def drained(outbox: Outbox) -> list[dict[str, object]]:
    found = []
    while (item := outbox.next()) is not None:
        found.append(item.payload)
        outbox.remove(item)
    return found


@pytest.mark.parametrize("kind", damage.KINDS)
def test_an_outbox_with_damaged_pages_sends_the_rest(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    outbox_with(tmp_path / "outbox.db", 60).close()
    damage.damage(tmp_path / "outbox.db", random.Random(3), kind, 3)
    outbox = Outbox(tmp_path / "outbox.db")
    found = drained(outbox)
    assert len(found) >= 20, "a page is one message, or the way to many"
    assert all(message.get("padding") == "x" * 3000 or message.get("weights") == bytes(20_000) for message in found)
    outbox.put_readings("later", "data_update", {"number": 99})
    assert drained(outbox) == [{"number": 99}]
    outbox.close()


@pytest.mark.parametrize("change", ["body = '{'", "note = '[]'", "event = x'ff'", "weights = 'text'"])
def test_a_message_that_cannot_be_read_is_lost_alone_and_no_number_is_used_again(
    tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = outbox_with(tmp_path / "outbox.db", 5)
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        top = db.execute("SELECT max(seq) FROM outbox").fetchone()[0]
        db.execute(f"UPDATE outbox SET {change} WHERE key = '0'")
    db.close()
    assert [message.get("number") for message in drained(outbox)] == [None, 1, 2, 3, 4]
    outbox.put_answer("training_failed", {"round": 8}, {})
    item = outbox.answer()
    assert item is not None
    assert item.seq > top
    outbox.close()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("store", ["readings.db", "outbox.db"])
def test_the_check_looks_into_the_stores_beside_a_running_client(tmp_path: Path, store: str) -> None:
    settings = ClientSettings(sensors="mock", data_dir=tmp_path)
    assert "holds nothing yet" in check._stores(settings)
    recorder, outbox = Recorder(tmp_path / "readings.db", 10_000), outbox_with(tmp_path / "outbox.db", 30)
    recorder.append_many((damage.START + i, damage.truth(i)) for i in range(1000))
    assert "readings.db and outbox.db" in check._stores(settings)
    recorder.close()
    outbox.close()
    damage.damage(tmp_path / store, random.Random(1), "noise", 3)
    before = (tmp_path / store).read_bytes()
    with pytest.raises(BrambleError, match=f"{store} is damaged .* sets it aside and goes on"):
        check._stores(settings)
    assert (tmp_path / store).read_bytes() == before


@pytest.mark.parametrize("name", ["readings.db", "outbox.db"])
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_what_a_newer_client_wrote_is_no_damage_and_left_as_it_is(name: str, mode: str, tmp_path: Path) -> None:
    def opened() -> Recorder | Outbox:
        return Recorder(tmp_path / name, 9) if name == "readings.db" else Outbox(tmp_path / name)

    opened().close()
    opened().close()  # one of today, which is also one of release 0.1, is opened as often as one likes
    with closing(sqlite3.connect(tmp_path / name)) as newer:
        newer.executescript(f"PRAGMA user_version={database.VERSION + 2}; PRAGMA journal_mode={mode}")
    before = (tmp_path / name).read_bytes()
    sentence = (
        f"{tmp_path / name} is of version {database.VERSION + 2}, and this client knows versions up to {database.VERSION}: "
        "install the newer Bramble that wrote it, or move the file away"
    )
    with pytest.raises(database.StorageError) as caught:
        opened()
    assert str(caught.value) == sentence
    with pytest.raises(database.StorageError) as checked:
        database.verdict(tmp_path / name)
    assert str(checked.value) == sentence
    assert (tmp_path / name).read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))
