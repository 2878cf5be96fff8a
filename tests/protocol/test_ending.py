"""Being asked to end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

IN_ANOTHER_THREAD = """
import signal, sys, threading
from bramble_protocol.ending import Ending

def arrives(number):
    signal.pthread_kill(threading.get_ident(), number)  # and not in the main thread, which waits
    threading.Event().wait()

ending = Ending()
assert not ending.wait(0.01)
threading.Thread(target=arrives, args=(int(sys.argv[1]),), daemon=True).start()
assert ending.wait()
assert ending.wait(0.0), "it stays said"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_that_arrives_in_any_thread_ends_the_main_threads_wait(number: signal.Signals) -> None:
    subprocess.run([sys.executable, "-c", IN_ANOTHER_THREAD, str(int(number))], check=True, timeout=60)
