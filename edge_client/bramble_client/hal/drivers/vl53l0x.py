"""STMicroelectronics VL53L0X: distance, by the time that light takes.

Sources: data sheet DS11555 (identity, bus, timing) and the API's manual UM2039 (the order of initialisation). ST publishes no register
map; what is known of registers and of the values to write is what its API writes, and was not tried on a chip by us.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement, steady, within
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.errors import NotReady, SensorError, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

START, SEQUENCE = Register(0x00), Register(0x01)
INTERRUPT, CLEAR, STATE = Register(0x0A), Register(0x0B), Register(0x13)
PIN, PADS, BUS_MODE, RESET = Register(0x84), Register(0x89), Register(0x88), Register(0xBF)
FIRST_SPAD = Register(0xB6)
POWER, PAGE = Register(0x80), Register(0xFF)  # these two are on every page
RESULT, RESULT_SIZE = 0x14, 12
SPADS, SPADS_SIZE = 0xB0, 6  # which of the reference's 48 light sensors are used, a bit each
MODEL = Register(0xC0, 2)  # DS11555, section 3.2
# On pages 1, 6 and 7
STOP, SPADS_FROM, SPADS_ASKED = Register(0x91), Register(0x4F), Register(0x4E)
STROBE, MEMORY_ON, MEMORY_AT, MEMORY = Register(0x83), Register(0x81), Register(0x94), Register(0x92)

SPADS_COUNT, APERTURE = Field(0, 7), Field(7)  # of what the chip's memory says of its reference
SPADS_LIMIT, FIRST_WITH_APERTURE = 0x2C, 12
TUNING = (  # page, and pairs of register and value, in the order in which the API writes them
    (1, "0000"),
    (0, "0900 1000 1100 2401 25ff 7500"),
    (1, "4e2c 4800 3020"),
    (0, "3009 5400 3104 3203 4083 4625 6000 2700 5006 5100 5296 5608 5730 6100 6200 6400 6500 66a0"),
    (1, "2232 4714 49ff 4a00"),
    (0, "7a0a 7b00 7821"),
    (1, "2334 4200 44ff 4526 4605 4040 0e06 201a 4340"),
    (0, "3403 3544"),
    (1, "3104 4b09 4c05 4d04"),
    (0, "4400 4520 4708 4828 6700 7004 7101 72fe 7600 7700"),
    (1, "0d01"),
    (0, "8001 01f8"),
    (1, "8e01 0001"),
    (0, "8000"),
)
CONTROLS = (0x00, 0x01, 0x80)  # whose values are orders, and do not stay

ONCE, VOLTAGE_ORDER, PHASE_ORDER = 0x01, 0x41, 0x01
VOLTAGE, PHASE, RANGING = 0x01, 0x02, 0xE8  # what SEQUENCE runs: two calibrations, and a measurement without checks of the signal's centre
NEW_SAMPLE, PENDING = 4, Field(0, 3)
ACTIVE_HIGH, IO_2V8 = Field(4), Field(0)

BOOT_S = 0.002  # DS11555, section 3.1: 1.2 ms at most
RANGING_S, PATIENCE_S, STEP_S = 0.033, 0.1, 0.005  # the API's usual budget of time, and when something is wrong
STATUS, DONE = Field(3, 4), 11
LASER_FAILS, UNCALIBRATED = (1, 2), 3
LIMITS = -1, 8190  # 0 mm is a value; 8190 mm and more mean that no light came back


class VL53L0X(Driver):
    """One measurement a call; the chip idles in between. What is beyond its reach, or gives no clear echo, is out of range."""

    name = "vl53l0x"
    chip = "VL53L0X"
    addresses = (0x29,)
    channels = ("distance",)
    fastest = 0.2
    ranges: Mapping[str, tuple[float, float]] = {"distance": (0, 2000)}  # DS11555, table 12
    identity = Identity(MODEL, {0xEEAA: "VL53L0X"}, neighbours="VL53L1X, VL53L4CD, VL6180X, TSL2591 and TCS34725")

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        super().__init__(bus, address, clock)
        self._chip = Device(bus, self.address)
        self._stop = 0
        self._spads = b""
        self._held: dict[tuple[int, int], int] = {}

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's model and kind are this one's."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the identity, restart the chip, choose its reference, tune it, and calibrate it: some 200 transfers.

        Every value is read back, here and after each measurement. One that is not what was written may be damage, or a register that
        cannot be read: so all is done once more, and a register that differs both times is taken for the latter.

        Raises
        ------
        WrongChip, NotReady, UnsteadyRead
            If this fails.
        """
        for register, value in ((PAGE, 0), (POWER, 0), (RESET, 1)):  # wherever a conversation that broke off has left it
            self._chip.write(register, value)
        self.clock.sleep(BOOT_S)
        self.identity.prove(self)
        different = self._initialise()
        if different and self._initialise() != different:
            raise UnsteadyRead(f"{self} does not keep what is written to it; shorten the wires or slow the bus down")
        self._held = {key: value for key, value in self._held.items() if key not in different}

    def read(self) -> Measurement:
        """Measure once.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If no measurement ends in time.
        UnsteadyRead
            If the bytes were damaged on the way.
        SensorError
            If the chip says that its laser fails.
        """
        with self._private():
            self._chip.write(STOP, self._stop)
            kept = self._chip.read(STOP) == self._stop
        self._chip.write(START, ONCE)
        self.clock.sleep(RANGING_S)
        self._wait()
        at = self.clock.monotonic()
        result = steady(lambda: self._chip.block(RESULT, RESULT_SIZE), self)
        self._chip.write(CLEAR, 1)
        if PENDING.get(self._chip.read(STATE)) or not kept:
            raise UnsteadyRead(f"{self} does not keep what is written to it; shorten the wires or slow the bus down")
        status = STATUS.get(result[0])
        settings = self._chip.read(SEQUENCE), self._chip.read(INTERRUPT), self._chip.block(SPADS, SPADS_SIZE)
        if settings != (RANGING, NEW_SAMPLE, self._spads) or self._different() or status == UNCALIBRATED:
            raise self._settings_lost()
        if status in LASER_FAILS:
            raise SensorError(f"{self} says that its laser fails; replace it")
        millimetres = int.from_bytes(result[10:], "big")
        return Measurement(at, {"distance": within(millimetres if status == DONE else LIMITS[1], *LIMITS, float(millimetres))})

    def _initialise(self) -> set[tuple[int, int]]:
        """Bring the chip from any state to where it measures; return the registers that do not read as they were written."""
        self._restart()
        self._chip.write(PADS, IO_2V8.put(self._chip.read(PADS), 1))  # as every board with a regulator wants it
        self._chip.write(BUS_MODE, 0)
        with self._private():
            self._stop = steady(lambda: self._chip.read(STOP), self)
        self._choose_reference()
        self._tune()
        self._chip.write(INTERRUPT, NEW_SAMPLE)
        self._chip.write(PIN, ACTIVE_HIGH.put(self._chip.read(PIN), 0))
        self._chip.write(CLEAR, 1)
        for sequence, order in ((VOLTAGE, VOLTAGE_ORDER), (PHASE, PHASE_ORDER)):
            self._chip.write(SEQUENCE, sequence)
            self._chip.write(START, order)
            self._wait()
            self._chip.write(CLEAR, 1)
            self._chip.write(START, 0)
        self._chip.write(SEQUENCE, RANGING)
        return self._different()

    def _restart(self) -> None:
        self._chip.write(RESET, 0)
        self.clock.sleep(BOOT_S)
        self._chip.write(RESET, 1)
        self.clock.sleep(BOOT_S)
        if not self.identity.fits(self.bus, self.address):
            raise NotReady(f"{self} does not come out of a reset; take its power away for a moment")

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Turn to page 1 with its lock open."""
        for register, value in ((POWER, 1), (PAGE, 1), (START, 0)):
            self._chip.write(register, value)
        yield
        for register, value in ((START, 1), (PAGE, 0), (POWER, 0)):
            self._chip.write(register, value)

    def _choose_reference(self) -> None:
        """Use as many of the reference's good light sensors as the chip's memory says, from the first of their kind on."""
        with self._private():
            self._chip.write(PAGE, 6)
            self._chip.write(STROBE, self._chip.read(STROBE) | 4)
            for register, value in ((PAGE, 7), (MEMORY_ON, 1), (POWER, 1), (MEMORY_AT, 0x6B), (STROBE, 0)):
                self._chip.write(register, value)
            self._wait(STROBE, Field(0, 8))
            self._chip.write(STROBE, 1)
            info = steady(lambda: self._chip.read(MEMORY), self)
            self._chip.write(MEMORY_ON, 0)
            self._chip.write(PAGE, 6)
            self._chip.write(STROBE, self._chip.read(STROBE) & ~4)
            self._chip.write(PAGE, 1)
        good = int.from_bytes(steady(lambda: self._chip.block(SPADS, SPADS_SIZE), self), "little")
        first = FIRST_WITH_APERTURE if APERTURE.get(info) else 0
        chosen = [i for i in range(first, 8 * SPADS_SIZE) if good >> i & 1][: SPADS_COUNT.get(info)]
        if not chosen or len(chosen) < SPADS_COUNT.get(info):
            raise NotReady(f"{self} has fewer good reference sensors than it says; take its power away for a moment")
        self._spads = sum(1 << i for i in chosen).to_bytes(SPADS_SIZE, "little")
        self._chip.write(PAGE, 1)
        self._chip.write(SPADS_FROM, 0)
        self._chip.write(SPADS_ASKED, SPADS_LIMIT)
        self._chip.write(PAGE, 0)
        self._chip.write(FIRST_SPAD, 0xB4)
        self.bus.transfer(self.address, bytes((SPADS,)) + self._spads)

    def _tune(self) -> None:
        """Write the values of ``TUNING``, and remember what each register then holds, by page and register."""
        holds = {(1, SPADS_FROM.address): 0, (0, FIRST_SPAD.address): 0xB4}
        for page, pairs in TUNING:
            self._chip.write(PAGE, page)
            for pair in pairs.split():
                register, value = bytes.fromhex(pair)
                self._chip.write(Register(register), value)
                holds[page, register] = value
        self._held = {key: holds[key] for key in sorted(holds) if key[1] not in CONTROLS}

    def _different(self) -> set[tuple[int, int]]:
        """Return the registers that do not hold what they should; neighbours are read in one go."""
        different = set()
        for page in (1, 0):
            self._chip.write(PAGE, page)
            registers = [register for where, register in self._held if where == page]
            for _, run in groupby(enumerate(registers), lambda item: item[1] - item[0]):
                numbers = [register for _, register in run]
                found = self._chip.block(numbers[0], len(numbers))
                different |= {(page, number) for number, value in zip(numbers, found, strict=True) if value != self._held[page, number]}
        return different

    def _wait(self, register: Register = STATE, field: Field = PENDING) -> None:
        deadline = self.clock.monotonic() + PATIENCE_S
        while not field.get(self._chip.read(register)):
            if self.clock.monotonic() >= deadline:
                raise NotReady(f"{self} has not finished for {PATIENCE_S * 1000:.0f} ms; check its power supply, the laser draws 40 mA")
            self.clock.sleep(STEP_S)
