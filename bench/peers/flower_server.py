"""Flower's server over its legacy gRPC transport: ``python flower_server.py PORT CLIENTS PARAMETERS``, in Flower's environment.

Rounds follow each other without an end, each with all clients, averaged by Flower's own FedAvg. Nothing is evaluated, and nothing
is logged, which only makes it quicker.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # it is read on the import
import numpy as np
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg

ROUNDS = 10**9


def main(port: int, clients: int, parameters: int) -> None:
    """Serve until somebody ends the process."""
    width = parameters // 100
    shapes: list[tuple[int, ...]] = [(100, width - 1), (parameters - 100 * (width - 1),)]
    random = np.random.default_rng(0)
    initial = ndarrays_to_parameters([random.standard_normal(shape, np.float32) for shape in shapes])

    def all_there(results: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        if len(results) != clients:
            raise RuntimeError(f"a round of {len(results)} updates")
        return {}

    strategy = FedAvg(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=initial,
        fit_metrics_aggregation_fn=all_there,
    )
    logging.getLogger("flwr").setLevel(logging.WARNING)
    print(f"flower starts on http://127.0.0.1:{port}", flush=True)
    start_server(server_address=f"127.0.0.1:{port}", config=ServerConfig(num_rounds=ROUNDS), strategy=strategy)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
