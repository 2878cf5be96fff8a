"""How a client is to train: what a request says, and what a task says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bramble_protocol import fields


@dataclass(frozen=True)
class TrainConfig:
    """How a client trains in one round."""

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 0.01
    seed: int = 0
    proximal_mu: float = 0.0
    """FedProx's mu (Li et al. 2020, eq. 2); 0 is plain FedAvg."""
    deadline_s: float = 60.0
    """Seconds from sending until the server closes the round."""

    @classmethod
    def from_wire(cls, value: Any) -> TrainConfig:
        """Read and check the wire form."""
        names = ("epochs", "batch_size", "learning_rate", "seed", "proximal_mu", "deadline_s")
        item = fields.mapping(value, "config", names)
        return cls(
            epochs=fields.integer(item["epochs"], "config.epochs", 1, 1000),
            batch_size=fields.integer(item["batch_size"], "config.batch_size", 1, 65536),
            learning_rate=fields.number(item["learning_rate"], "config.learning_rate", 0, 1000),
            seed=fields.integer(item["seed"], "config.seed", 0, 2**31 - 1),
            proximal_mu=fields.number(item["proximal_mu"], "config.proximal_mu", 0, 1e6),
            deadline_s=fields.number(item["deadline_s"], "config.deadline_s", 0, 1e7),
        )
