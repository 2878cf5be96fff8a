"""FedProx: FedAvg of clients that are held back from the far ends of their own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bramble_protocol.messages import TrainConfig
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context
from bramble_server.learning.strategies.fedavg import FedAvg


@dataclass(frozen=True)
class Proximity(Parameters):
    """What can be set of FedProx."""

    mu: float = parameter(0.01, "How strongly a client is pulled to the global model while it trains; 0 is FedAvg.", least=0, most=1000)


class FedProx(FedAvg):
    """As FedAvg, with clients that stay near the global model: for data that differs from client to client.

    Clients minimise ``F_k(w) + mu/2 |w - w_t|^2`` (Li et al. 2020, equation 2), w_t being the model that the round starts from. The
    server then averages as in FedAvg.
    """

    takes = Proximity
    parameters: Proximity

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Give every client the same mu."""
        return dict.fromkeys(clients, replace(context.config, proximal_mu=self.parameters.mu))
