"""InvenSense MPU-6050, and its successors with the same registers: acceleration and rotation about three axes each.

Sources: register map RM-MPU-6000A-00, revision 4.2; MPU-6500 register map RM-MPU-6500A-00, revision 2.1.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Measurement, Pacer, Streaming, one_conversion, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import NotReady, Overrun, SettingsLost, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

# Section 3, register map
SMPLRT_DIV, CONFIG = Register(0x19), Register(0x1A)
FIFO_EN, INT_STATUS, USER_CTRL, PWR_MGMT_1 = Register(0x23), Register(0x3A), Register(0x6A), Register(0x6B)
FIFO_COUNT, FIFO_R_W, WHO_AM_I = Register(0x72, 2), Register(0x74), Register(0x75)
ACCEL_CONFIG_2 = Register(0x1D)  # of the successors, whose accelerometer has a low-pass filter of its own

DATA_RDY, OVERFLOW = Field(0), Field(4)
FIFO_ON, FIFO_RESET, DEVICE_RESET = 0x40, 0x04, 0x80
ORIGINALS = {0x68: "MPU-6050"}  # section 4.32, whatever the address pin says
SUCCESSORS = {
    0x70: "MPU-6500",
    0x71: "MPU-9250",
    0x72: "copy of an MPU-6500",  # on many boards that are sold as MPU-6050
    0x73: "MPU-9255",
    0x74: "MPU-6515",
    0x98: "ICM-20689",
    0xAF: "ICM-20608-G",
}
"""Chips with the same registers, scales and queue, which is half as long."""
OTHERS = {0x11: "ICM-20600", 0x12: "ICM-20602", 0x20: "ICM-20690", 0x42: "ICM-42605", 0x47: "ICM-42688-P"}
RELATIVES = {code: f"{chip}, whose registers are others; no driver here reads it" for code, chip in OTHERS.items()}
RESET_S = 0.1
PLL = 1  # section 4.28: the gyroscope's clock, better than the internal one
LOW_PASS = 3  # section 4.3: 44 Hz, sampled at 1 kHz
DIVIDER = 4  # 200 Hz
G_RANGES, DPS_RANGES = (2, 4, 8, 16), (250, 500, 1000, 2000)  # sections 4.5 and 4.4, in the order of their codes
G = 9.80665
LIMITS = -0x8000, 0x7FFF
START_S = 0.03  # product specification, gyroscope start-up
FRAME = 12  # bytes of one conversion in the queue
QUEUE, SUCCESSORS_QUEUE = 1024, 512
ACCELERATION_AND_ROTATION = 0x78  # section 4.6: what goes into the queue


class MPU6050(Streaming):
    """Six channels, read one by one or in bursts out of the chip's queue."""

    name = "mpu6050"
    chip = "MPU-6050"
    addresses = (0x68, 0x69)
    channels = tuple(f"{kind}_{axis}" for kind in ("acceleration", "rotation") for axis in "xyz")
    interval = 0.005
    fastest = 0.002
    frozen_after = 5
    rates: ClassVar[tuple[float, ...]] = (50.0, 100.0, 200.0, 250.0, 500.0)
    queue = SUCCESSORS_QUEUE // FRAME
    identity = Identity(WHO_AM_I, {**ORIGINALS, **SUCCESSORS}, RELATIVES)
    options = (
        Option("range", "of the acceleration, in g; beyond it there is no reading", 4, int, G_RANGES),
        Option("rotation_range", "of the rotation, in degrees a second", 500, int, DPS_RANGES),
    )

    def __init__(
        self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, range: int = 4, rotation_range: int = 500
    ) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._settings = bytes((DIVIDER, LOW_PASS, DPS_RANGES.index(rotation_range) << 3, G_RANGES.index(range) << 3))
        # Sections 4.17 and 4.19: a full scale is 32768 steps of acceleration, and 32750 of rotation
        self._steps = (range * G / 32768,) * 3 + (rotation_range / 32750,) * 3
        self._queue = QUEUE

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's id is an MPU-6050's, or a successor's."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id, reset, wake the chip up, write the settings."""
        successor = self.identity.prove(self) in SUCCESSORS
        self._queue = SUCCESSORS_QUEUE if successor else QUEUE
        self._chip.write(PWR_MGMT_1, DEVICE_RESET)
        self.clock.sleep(RESET_S)
        self._chip.write(PWR_MGMT_1, PLL)
        self.bus.transfer(self.address, bytes((SMPLRT_DIV.address,)) + self._settings)
        if successor:
            self._chip.write(ACCEL_CONFIG_2, LOW_PASS)
        self.clock.sleep(START_S)
        self._check()

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
            if DATA_RDY.get(self._chip.read(INT_STATUS)):
                break
            self.clock.sleep(0.002)
        else:
            raise NotReady(f"{self} has not measured for 16 ms, three times what it was set to")
        # Section 4.17: a burst shows one conversion, whatever happens meanwhile
        block = one_conversion(
            lambda: self._chip.block(INT_STATUS.address, 15), lambda block: bool(DATA_RDY.get(block[0])), slice(1, 15), self
        )
        at = self.clock.monotonic()
        self._check()
        values = struct.unpack(">7h", block[1:])
        return self._measurement(at, values[:3] + values[4:])

    def start(self, hertz: float) -> None:
        """Queue conversions at this rate (section 4.2: 1 kHz, divided)."""
        if hertz not in self.rates:
            raise ValueError(f"{self} can queue at {', '.join(f'{rate:g}' for rate in self.rates)} Hz, not at {hertz:g}")
        self._settings = bytes((round(1000 / hertz) - 1, *self._settings[1:]))
        self.setup()
        self._chip.write(FIFO_EN, ACCELERATION_AND_ROTATION)
        if self._chip.read(FIFO_EN) != ACCELERATION_AND_ROTATION:
            raise SettingsLost(f"{self} does not keep its settings; check its power supply and its wires")
        self._restart_queue()
        self._pacer = Pacer(hertz)

    def drain(self) -> list[Measurement]:
        """Fetch what is in the queue; see ``Streaming.drain``."""
        before = self.clock.monotonic()
        level = self._level()
        after = self.clock.monotonic()
        if level > self._queue - FRAME or level % FRAME:
            self._restart_queue()
            self._pacer.restart()
            raise Overrun(f"{self}: its queue was full and conversions were lost; fetch them more often")
        if level == 0:
            return []
        if not level <= self._level() <= level + FRAME * self._pacer.most(self.clock.monotonic() - before):
            raise UnsteadyRead(f"{self}: the fill level of its queue was damaged on the way; shorten the wires or slow the bus down")
        data = self._chip.take(FIFO_R_W.address, level)
        self._level()  # once more: a brown-out in between would have left zeros to be read
        stamps = self._pacer.stamps(level // FRAME, before, after)
        return [self._measurement(at, values) for at, values in zip(stamps, struct.iter_unpack(">6h", data), strict=True)]

    def _level(self) -> int:
        state = self._chip.block(USER_CTRL.address, 10)  # settings and fill level in one burst; one byte more would empty the queue
        if state[0] != FIFO_ON or state[1] != PLL:
            raise self._settings_lost()
        return FIFO_COUNT.within(state, USER_CTRL.address)

    def _restart_queue(self) -> None:
        self._chip.write(USER_CTRL, FIFO_RESET)
        self._chip.write(USER_CTRL, FIFO_ON)

    def _measurement(self, at: float, raw: tuple[int, ...]) -> Measurement:
        return Measurement(at, {key: within(n, *LIMITS, n * step) for key, n, step in zip(self.channels, raw, self._steps, strict=True)})

    def _check(self) -> None:
        if self._chip.read(PWR_MGMT_1) != PLL or self._chip.block(SMPLRT_DIV.address, 4) != self._settings:
            raise self._settings_lost()
