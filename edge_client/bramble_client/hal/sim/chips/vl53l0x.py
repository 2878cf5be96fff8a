"""STMicroelectronics VL53L0X at register level, from data sheet DS11555 and from what is known of the order in which ST's API talks to it.

ST publishes no register map. Where nobody says what the chip does with a wrong value, this one does what betrays it least: it measures
all the same, and wrongly.
"""

from __future__ import annotations

from bramble_client.hal.sim.chips.base import Chip, nack
from bramble_client.hal.sim.chips.word_registers import clamp

BOOT_S, RANGING_S, CALIBRATION_S, MEMORY_S = 0.0012, 0.031, 0.001, 0.0005
EVERYWHERE = (0x80, 0xFF)  # on every page: power, and the page itself
STOP_VALUE = 0x3C
GOOD_SPADS = bytes.fromhex("ffbff7fffe0f")  # the last four bits do not exist
REFERENCE = 0x80 | 9  # from the twelfth sensor on, nine of them
NO_TARGET, REACH = 8190, 2000.0  # millimetres; DS11555, table 12: 2 m on white
NOISE = 0.005  # of the distance; DS11555, table 13, tells the accuracy in per cent too
WEAK, UNCALIBRATED, WRONG_PHASE, DONE = 4, 3, 6, 11
OFF_TUNE = 60
"""By how many millimetres a chip that is not tuned is wrong here."""
# What tuning leaves in the registers of the two pages
TUNED = {
    0: "0900 1000 1100 2401 25ff 2700 3009 3104 3203 3403 3544 4083 4400 4520 4625 4708 4828 5006 5100 5296 5400 5608 5730"
    "6000 6100 6200 6400 6500 66a0 6700 7004 7101 72fe 7500 7600 7700 7821 7a0a 7b00",
    1: "0d01 0e06 201a 2232 2334 3020 3104 4040 4200 4340 44ff 4526 4605 4714 4800 49ff 4a00 4b09 4c05 4d04 4e2c 4f00 8e01",
}


class VL53L0X(Chip):
    """The chip with its pages, its memory, reset, reference, calibrations, and single or continuous measurement."""

    name = "vl53l0x"

    def power_on(self) -> None:
        """Boot, which takes 1.2 ms at most (section 3.1); until then the chip does not acknowledge."""
        self.pages = {page: bytearray(256) for page in (0, 1, 6, 7)}
        self.everywhere = dict.fromkeys(EVERYWHERE, 0)
        self.pages[0][0xC0:0xC3] = b"\xee\xaa\x10"
        self.pages[0][0xB0:0xB6] = GOOD_SPADS
        self.pages[0][0x01], self.pages[0][0x84] = 0xFF, 0x10
        self.pages[1][0x00], self.pages[1][0x91] = 1, STOP_VALUE
        self.pointer = 0
        self.held = False
        self._ready_at = self.clock.monotonic() + BOOT_S
        self._memory_at: float | None = None
        self._done_at: float | None = None
        self._ranging = False
        self._calibrated: set[int] = set()

    @property
    def page(self) -> bytearray:
        """The registers that the bus reaches now; a page that does not exist is empty."""
        return self.pages.get(self.everywhere[0xFF], bytearray(256))

    def write(self, data: bytes) -> None:
        """Set the index, then write registers one after the other (section 3.2)."""
        self._refresh()
        if not data:
            return
        self.pointer = data[0]
        for value in data[1:]:
            self._store(self.pointer, value)
            self.pointer = (self.pointer + 1) & 0xFF

    def read(self, length: int) -> bytes:
        """Read registers from the index on."""
        self._refresh()
        data = bytes(self._show(self.pointer + i & 0xFF) for i in range(length))
        self.pointer = (self.pointer + length) & 0xFF
        return data

    def _show(self, register: int) -> int:
        if register in EVERYWHERE:
            return self.everywhere[register]
        if self.page is self.pages[0] and 0xC0 <= register <= 0xC2:
            return 0 if self.held else self.page[register] ^ (0x5A if self.impostor else 0)
        if self.page is self.pages[1] and register == 0x91 and not self._unlocked():
            return 0
        return self.page[register]

    def _unlocked(self) -> bool:
        return self.everywhere[0x80] == 1 and self.pages[1][0x00] == 0

    def _store(self, register: int, value: int) -> None:
        page = self.everywhere[0xFF]
        if register in EVERYWHERE:
            self.everywhere[register] = value
        elif page == 0 and register == 0xBF:
            if value & 1:
                if self.held:
                    self.power_on()
            else:
                self.held = True
        elif not (page == 0 and (0xC0 <= register <= 0xC2 or 0x13 <= register < 0x20)) and (
            (page, register) != (1, 0x91) or self._unlocked()
        ):
            self.page[register] = value
            self._written(page, register, value)

    def _written(self, page: int, register: int, value: int) -> None:
        if (page, register) == (0, 0x00):
            self._start(value)
        elif (page, register) == (0, 0x0B) and value & 1:
            self.pages[0][0x13] &= ~7
        elif (page, register) == (7, 0x83) and value == 0 and self.page[0x94] == 0x6B and self.page[0x81] == 1:
            self._memory_at = self.clock.monotonic() + MEMORY_S

    def _start(self, value: int) -> None:
        self._done_at = None
        if not value & 7:
            return
        self._ranging = value & 0x40 == 0 and self.pages[0][0x01] & 0xC0 != 0
        if self._ranging and self.pages[1][0x91] != STOP_VALUE:
            return  # it begins, and never ends
        self._done_at = self.clock.monotonic() + (RANGING_S if self._ranging else CALIBRATION_S)

    def _refresh(self) -> None:
        now = self.clock.monotonic()
        if now < self._ready_at:
            raise nack()
        if self._memory_at is not None and now >= self._memory_at:
            self._memory_at = None
            self.pages[7][0x83], self.pages[7][0x92] = 0x10, REFERENCE
        if self._done_at is None or now < self._done_at:
            return
        if not self._ranging:
            self._calibrated.add(self.pages[0][0x01])
        elif not self.frozen:
            self._measure()
        if self.pages[0][0x0A] & 7 == 4:
            self.pages[0][0x13] = self.pages[0][0x13] & ~7 | 4
        again = self._ranging and self.pages[0][0x00] & 6
        self._done_at = self._done_at + ((now - self._done_at) // RANGING_S + 1) * RANGING_S if again else None
        self.pages[0][0x00] &= ~1

    def _measure(self) -> None:
        truth = self.feel("distance")
        truth += self.random.gauss(0.0, NOISE * min(truth, REACH))
        status, millimetres = DONE, clamp(truth + (0 if self._tuned() else OFF_TUNE), 0, NO_TARGET - 1)
        if not self._reference_chosen() or truth > REACH:
            status, millimetres = WEAK, NO_TARGET
        if not {0x01, 0x02} <= self._calibrated:
            status = WRONG_PHASE if 0x01 in self._calibrated else UNCALIBRATED
        spads, signal, ambient = 0x0900, clamp(4e7 / max(truth, 30.0) ** 2 * 128, 0, 0xFFFF), 0x0020
        words = (spads, 0, signal, ambient, millimetres)
        self.pages[0][0x14:0x20] = bytes((status << 3 | 1, 0)) + b"".join(word.to_bytes(2, "big") for word in words)

    def _tuned(self) -> bool:
        return all(self.pages[page][register] == value for page, text in TUNED.items() for register, value in _pairs(text))

    def _reference_chosen(self) -> bool:
        """Whether as many good sensors are on as the memory says, the first of their kind."""
        chosen = int.from_bytes(self.pages[0][0xB0:0xB6], "little")
        good = [i for i in range(12, 48) if int.from_bytes(GOOD_SPADS, "little") >> i & 1]
        return self.pages[0][0xB6] == 0xB4 and chosen == sum(1 << i for i in good[: REFERENCE & 0x7F])


def _pairs(text: str) -> list[tuple[int, int]]:
    data = bytes.fromhex(text)
    return list(zip(data[::2], data[1::2], strict=True))
