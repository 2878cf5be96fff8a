"""Flower's simulation engine on the numpy model: ``python flower_simulation.py CLIENTS ROUNDS STEPS WORKERS``, in Flower's environment.

All clients take part in each round, averaged by Flower's own FedAvg; nothing is evaluated. Printed is when each round had ended, as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # they are read on the import
import numpy as np
import numpy_model  # type: ignore[import-not-found]
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation


def client_app(steps: int) -> ClientApp:
    """Return a client that trains the numpy model."""
    app = ClientApp()

    @app.train()  # type: ignore[untyped-decorator]
    def train(message: Message, context: Context) -> Message:
        weights = message.content["arrays"].to_numpy_ndarrays()
        trained = numpy_model.train(weights, int(context.node_config["partition-id"]), steps)
        metrics = MetricRecord({"num-examples": numpy_model.WINDOWS})
        return Message(RecordDict({"arrays": ArrayRecord(trained), "metrics": metrics}), reply_to=message)

    return app


def server_app(clients: int, rounds: int, ended: list[float]) -> ServerApp:
    """Return a server that notes when each round had ended, the first time being when the rounds begin."""
    app = ServerApp()

    def note(number: int, arrays: ArrayRecord) -> None:
        ended.append(time.monotonic())

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid: Grid, context: Context) -> None:
        strategy = FedAvg(
            fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=clients, min_evaluate_nodes=0, min_available_nodes=clients
        )
        initial = ArrayRecord([np.zeros(shape, np.float32) for shape in numpy_model.SHAPES])
        strategy.start(grid, initial, num_rounds=rounds, evaluate_fn=note)

    return app


def main(clients: int, rounds: int, steps: int, workers: int) -> None:
    """Play the rounds, and print."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    ended: list[float] = []
    backend = {
        "client_resources": {"num_cpus": 1},
        "init_args": {"num_cpus": workers, "_node_ip_address": "127.0.0.1", "include_dashboard": False, "logging_level": "error"},
    }
    run_simulation(server_app(clients, rounds, ended), client_app(steps), clients, backend_config=backend)
    print(json.dumps(ended))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
