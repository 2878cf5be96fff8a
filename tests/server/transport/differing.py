"""The server, with a strategy that has each client train in a way of its own: ``python differing.py <flags>``."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from bramble.cli import main
from bramble_protocol.messages import TrainConfig
from bramble_server.learning.strategies import Context
from bramble_server.learning.strategies.fedavg import FedAvg


def plan(self: FedAvg, context: Context, clients: Sequence[str]) -> dict[str, TrainConfig]:
    return {client: replace(context.config, epochs=index + 1) for index, client in enumerate(clients)}


FedAvg.plan = plan  # type: ignore[method-assign, assignment]
main(["server", *sys.argv[1:]])
