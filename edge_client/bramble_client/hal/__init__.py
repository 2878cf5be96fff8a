"""The hardware abstraction layer: sensors, real or simulated, that are read correctly and for ever.

A real board and a simulated one differ at the bus and nowhere else: the driver that runs on a laptop is the driver that runs on a Pi.
"""

from bramble_client.hal.board import Board
from bramble_client.hal.opening import open_board
from bramble_client.hal.readings import Quality, Reading

__all__ = ["Board", "Quality", "Reading", "open_board"]
