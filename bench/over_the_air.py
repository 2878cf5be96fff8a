"""A new task handed to a server and five clients that run: how long until its first model, with nothing started anew."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

from bench.table import Row
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.second_task import later
from tests.server.process import ServerProcess

CLIENTS, TRIALS = 5, 3


def main() -> list[Row]:
    """Deploy, learn one round, retire; the slowest of three times counts."""
    took = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bramble-air-")))
        graph = later(folder).read_bytes()
        server = stack.enter_context(ServerProcess(folder, "--task", str(CLIMATE), "--min-updates", str(CLIENTS), "--deadline", "10m"))
        clients = [stack.enter_context(ClientProcess(server.url, folder, name=f"pi-{n}")) for n in range(CLIENTS)]
        for client in clients:
            client.wait_connected()
        server.measure(300)
        for _ in range(TRIALS):
            began = time.monotonic()
            server.api.deploy(graph, settings=["epochs=1"])
            record = server.ended(server.api.start("later")["round"])
            took.append(time.monotonic() - began)
            if record["state"] != "committed" or record["updates"] != CLIENTS:
                raise RuntimeError(f"the first round of the task came to {record}")
            server.api.retire("later")
            server.api.reset()  # its history too: the next trial begins anew
            server.measure(300)
        anew = sum(process.poll() is not None for process in (server.process, *(client.process for client in clients)))
    what = f"from POST /tasks to the commit of its first round by {CLIENTS} clients, each of which fetches the graph; slowest of {TRIALS}"
    return [
        Row("a new task's first round over the air", max(took), "s", 30, what),
        Row("processes that were started anew for it", anew, "", 0, "server and clients"),
    ]
