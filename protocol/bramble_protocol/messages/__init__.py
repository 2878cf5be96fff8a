"""The messages of the contract as frozen dataclasses.

``from_wire`` is strict: a missing, unknown, mistyped or absurd field raises ``ProtocolError`` naming it.
``to_wire`` returns what Socket.IO sends. Times are seconds since 1970-01-01 UTC.
"""

from bramble_protocol.messages.champion import Champion
from bramble_protocol.messages.evaluation import MOST_MODELS, Evaluate, Evaluated, model_name
from bramble_protocol.messages.extras import Control, Extras
from bramble_protocol.messages.handshake import MAX_CHANNELS, MAX_FEATURES, NOTICES, Channel, Handshake, Notice
from bramble_protocol.messages.readings import FORECAST, MAX_READINGS, Column, DataUpdate, GenerateData, forecast_of, next_of
from bramble_protocol.messages.reset import Reset
from bramble_protocol.messages.round_over import RoundOver
from bramble_protocol.messages.secure import MASKED, Masked, MaskedComplete, SecureSaid, SecureTerms, SecureTold
from bramble_protocol.messages.train_config import TrainConfig
from bramble_protocol.messages.training import MAX_SAMPLES, ClientUpdate, Delivery, Timing, TrainingComplete
from bramble_protocol.messages.training_failed import TrainingFailed

__all__ = [
    "FORECAST",
    "MASKED",
    "MAX_CHANNELS",
    "MAX_FEATURES",
    "MAX_READINGS",
    "MAX_SAMPLES",
    "MOST_MODELS",
    "NOTICES",
    "Champion",
    "Channel",
    "ClientUpdate",
    "Column",
    "Control",
    "DataUpdate",
    "Delivery",
    "Evaluate",
    "Evaluated",
    "Extras",
    "GenerateData",
    "Handshake",
    "Masked",
    "MaskedComplete",
    "Notice",
    "Reset",
    "RoundOver",
    "SecureSaid",
    "SecureTerms",
    "SecureTold",
    "Timing",
    "TrainConfig",
    "TrainingComplete",
    "TrainingFailed",
    "forecast_of",
    "model_name",
    "next_of",
]
