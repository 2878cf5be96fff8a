"""A card that its kernel turned read-only after an error, as a Pi's does: a real ext4 file system with a real error, on a loop device."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD = """
import json, logging, subprocess, sys
from pathlib import Path
from bramble_client.machine import disk
from bramble_client.deliver.outbox import Outbox
from bramble_client.acquire.recorder import Recorder
from bramble_client.commands.startup import StartError, exclusive

image, card = sys.argv[1:]
lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append(record.getMessage())
logging.basicConfig(handlers=[handler])
subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, card], check=True)
device = Path(subprocess.run(["findmnt", "-no", "SOURCE", card], check=True, capture_output=True, text=True).stdout.strip()).name
recorder, outbox = Recorder(Path(card, "readings.db"), 1000, 0.0), Outbox(Path(card, "outbox.db"))
recorder.append_many((float(t), {"temperature": t / 10}) for t in range(100))
for number in range(3):
    outbox.put_readings(str(number), "data_update", {"number": number})
before = recorder.trouble
Path("/sys/fs/ext4", device, "trigger_fs_error").write_text("1")
recorder.append_many((float(t), {"temperature": t / 10}) for t in range(100, 150))
recorder.append(150.0, {"temperature": 15.0})
recorder.label(120.0, "sitting")
recorder.set("tested_until", "90.0")
outbox.put_answer("training_complete", {"round": 1, "weights": b"abc"}, {})
sent = []
while (item := outbox.next()) is not None:
    sent.append(item.event)
    outbox.remove(item)
t, values = recorder.columns(["temperature"])
told = {"before": before, "trouble": recorder.trouble, "state": disk.state(Path(card), OSError()), "sent": sent, "samples": len(t),
        "newest": values[-1, 0], "labels": recorder.labels(), "tested": recorder.tested_until(), "lines": lines[:]}
try:
    with exclusive(Path(card, "other")):
        pass
except StartError as error:
    told["start"] = str(error)
recorder.close()
outbox.close()
told["end"] = lines[-1]
subprocess.run(["umount", card], check=True)
print(json.dumps(told))
"""


def can_mount() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, ("mkfs.ext4", "unshare", "findmnt"))) and Path("/dev/loop-control").exists()


@pytest.mark.skipif(not can_mount(), reason="needs root, e2fsprogs and loop devices")
def test_a_card_that_turned_read_only_is_named_and_the_client_goes_on_in_memory(tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", tmp_path / "card"
    card.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    command: list[Any] = ["unshare", "--mount", sys.executable, "-c", CHILD, image, card]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["before"], told["trouble"], told["state"]) == (None, "read-only", "read-only")
    assert told["sent"] == ["training_complete", *["data_update"] * 3], "each is sent once"
    assert (told["samples"], told["newest"]) == (151, 15.0), "what the card does not take is trained on all the same"
    assert told["labels"] == [[120.0, "sitting"]]
    assert told["tested"] == 90.0
    said = [line for line in told["lines"] if "readings.db takes nothing" in line]
    assert len(said) == 1
    assert "its file system is read-only, as a card's becomes after errors: see `dmesg`" in said[0]
    assert not any("room" in line for line in told["lines"])
    assert "cannot use" in told["start"]
    assert "read-only, as a card's becomes" in told["start"]
    assert "51 samples that" in told["end"]
    assert "are lost" in told["end"]
