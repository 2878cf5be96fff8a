"""Analog Devices ADXL345: acceleration along three axes.

Source: data sheet ADXL345, revision E.
"""

from __future__ import annotations

import struct

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Measurement, Pacer, Streaming, one_conversion, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.errors import NotReady, Overrun, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

# "Register map", table 19
DEVID, BW_RATE, POWER_CTL, INT_SOURCE, DATA_FORMAT = Register(0x00), Register(0x2C), Register(0x2D), Register(0x30), Register(0x31)
DATA, FIFO_CTL = 0x32, Register(0x38)
WINDOW, SIZE = 0x2C, 14  # BW_RATE to FIFO_STATUS (0x39) in one burst
DATA_READY, OVERRUN, ENTRIES = Field(7), Field(0), Field(0, 6)

RELATIVES = {0xE6: "ADXL346, which no driver here reads"}
MEASURE = 0x08
FULL_RESOLUTION_16G = 0x0B
BYPASS, STREAM = 0x00, 0x80
HZ_100 = 0x0A
ACCELERATION = 9.80665 / 256  # table 1: 256 steps per g in full resolution, whatever the range
LIMITS = -4096, 4095  # table 1: 13 bits in full resolution at 16 g
START_S = 0.0111 + 0.001  # "power sequencing": 1 / rate + 1.1 ms
CODES = {25.0: 0x08, 50.0: 0x09, 100.0: 0x0A, 200.0: 0x0B, 400.0: 0x0C}  # table 7


class ADXL345(Streaming):
    """Three channels, read one by one or in bursts out of the chip's queue."""

    name = "adxl345"
    chip = "ADXL345"
    addresses = (0x53, 0x1D)
    channels = ("acceleration_x", "acceleration_y", "acceleration_z")
    interval = 0.01
    fastest = 0.0025
    frozen_after = 20
    rates = tuple(CODES)
    queue = 32
    identity = Identity(DEVID, {0xE5: "ADXL345"}, RELATIVES)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._rate, self._queue = HZ_100, BYPASS

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's id is an ADXL345's."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id and write the settings, measuring last as the data sheet asks."""
        self.identity.prove(self)
        self._chip.write(POWER_CTL, 0)
        self._chip.write(DATA_FORMAT, FULL_RESOLUTION_16G)
        self._chip.write(BW_RATE, self._rate)
        self._chip.write(FIFO_CTL, BYPASS)  # empties the queue
        self._chip.write(FIFO_CTL, self._queue)
        self._chip.write(POWER_CTL, MEASURE)
        self.clock.sleep(START_S)

    def read(self) -> Measurement:
        """Return the latest conversion.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If the chip does not measure.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        for _ in range(8):
            if DATA_READY.get(self._chip.read(INT_SOURCE)):
                break
            self.clock.sleep(0.005)
        else:
            raise NotReady(f"{self} has not measured for 40 ms, four times what it was set to")
        block = one_conversion(lambda: self._chip.block(WINDOW, SIZE), lambda block: bool(DATA_READY.get(block[4])), slice(6, 12), self)
        at = self.clock.monotonic()
        self._check(block)
        return self._measurement(at, struct.unpack("<3h", block[6:12]))

    def start(self, hertz: float) -> None:
        """Queue conversions at this rate: "FIFO", stream mode."""
        if hertz not in CODES:
            raise ValueError(f"{self} can queue at {', '.join(f'{rate:g}' for rate in CODES)} Hz, not at {hertz:g}")
        self._rate, self._queue = CODES[hertz], STREAM
        self.setup()
        self._pacer = Pacer(hertz)

    def drain(self) -> list[Measurement]:
        """Fetch what is in the queue; see ``Streaming.drain``."""
        overrun = OVERRUN.get(self._chip.read(INT_SOURCE))
        before = self.clock.monotonic()
        count = self._entries()
        after = self.clock.monotonic()
        if not count <= self._entries() <= count + self._pacer.most(self.clock.monotonic() - before):
            raise UnsteadyRead(f"{self}: the fill level of its queue was damaged on the way; shorten the wires or slow the bus down")
        # Each read of the six data registers takes one entry out; over I2C the next one is ready by the time it is asked for
        raw = [struct.unpack("<3h", self._chip.take(DATA, 6)) for _ in range(count)]
        self._entries()  # once more: a brown-out in between would have left zeros to be read
        if overrun:
            self._pacer.restart()
            raise Overrun(f"{self}: its queue was full and conversions were lost; fetch them more often")
        return [self._measurement(at, values) for at, values in zip(self._pacer.stamps(count, before, after), raw, strict=True)]

    def _entries(self) -> int:
        # Two bursts, around the data: reading those would take one conversion out of the queue
        block = self._chip.block(WINDOW, 6) + bytes(6) + self._chip.block(FIFO_CTL.address, 2)
        self._check(block)
        return ENTRIES.get(block[-1])

    def _measurement(self, at: float, raw: tuple[int, ...]) -> Measurement:
        return Measurement(at, dict(zip(self.channels, (within(n, *LIMITS, n * ACCELERATION) for n in raw), strict=True)))

    def _check(self, block: bytes) -> None:
        if (block[0], block[1], block[5], block[12]) != (self._rate, MEASURE, FULL_RESOLUTION_16G, self._queue):
            raise self._settings_lost()
