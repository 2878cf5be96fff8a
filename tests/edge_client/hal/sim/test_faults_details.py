"""Faults in detail: when they begin and end, whom they hit, how far they go, and what a script may leave out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bramble_client.hal import errors
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim import script
from bramble_client.hal.sim.faults import LASTING, SIZE, Faults, Kind, Rule
from tests.edge_client.hal.bench import WORLD, Bench, active


def faulty(name: str = "bmp280") -> tuple[Bench, Faults]:
    bench = Bench(name, **WORLD)
    bench.driver.setup()
    bench.bus.faults = faults = Faults(bench.clock)
    return bench, faults


def errno_of(bench: Bench, address: int | None = None) -> int | None:
    """Return the errno of one transfer without retries, None if it went well."""
    try:
        bench.bus._attempt(bench.driver.address if address is None else address, b"\xd0", 1)
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("kind", list(Kind))
def test_a_rule_takes_how_long_and_how_far_from_the_table_unless_it_is_told(kind: Kind) -> None:
    rule = Rule(kind.value)  # type: ignore[arg-type]
    assert rule.kind is kind
    assert (rule.seconds, rule.size) == (LASTING.get(kind, 0.0), SIZE.get(kind, 0.0))
    assert (Rule(kind, seconds=3.0).seconds, Rule(kind, size=0.3).size) == (3.0, 0.3)
    assert not rule.once
    assert rule.probability == 1.0


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="gremlin"):
        Faults(VirtualClock()).on("gremlin")


@pytest.mark.parametrize("kind", sorted(LASTING))
def test_a_lasting_fault_ends_to_the_moment(kind: Kind) -> None:
    bench, faults = faulty()
    faults.on(kind, once=True, seconds=10)
    errno_of(bench)
    bench.clock.sleep(9.999)
    assert kind in active(faults, 0x76)
    bench.clock.sleep(0.002)
    assert kind not in active(faults, 0x76)
    assert errno_of(bench) is None
    assert (bench.chip.frozen, bench.chip.disturb) == (False, None)


def test_a_fault_begins_within_its_time_and_not_outside() -> None:
    bench, faults = faulty()
    faults.on(Kind.NACK, start=bench.clock.monotonic() + 9.5, end=bench.clock.monotonic() + 20.5)
    seen = []
    for _ in range(30):
        seen.append(errno_of(bench) is not None)
        bench.clock.sleep(1)
    assert seen == [False] * 10 + [True] * 11 + [False] * 9


def test_once_is_once_for_each_address() -> None:
    bench, faults = faulty()
    bench.bus.attach(0x77, bench.chip)
    faults.on(Kind.TIMEOUT, once=True)
    assert [errno_of(bench, address) for address in (0x76, 0x76, 0x77, 0x77)] == [errno.ETIMEDOUT, None] * 2
    assert faults.counts == {(Kind.TIMEOUT, 0x76): 1, (Kind.TIMEOUT, 0x77): 1}


def test_a_fault_that_lasts_does_not_begin_again_while_it_does() -> None:
    bench, faults = faulty()
    faults.on(Kind.UNPLUG, seconds=10)
    for _ in range(5):
        errno_of(bench)
        bench.clock.sleep(1)
    assert faults.counts[Kind.UNPLUG, 0x76] == 1
    bench.clock.sleep(6)
    errno_of(bench)
    assert faults.counts[Kind.UNPLUG, 0x76] == 2


def test_switching_one_kind_off_leaves_the_others_on() -> None:
    bench, faults = faulty()
    faults.on(Kind.FROZEN, once=True)
    faults.on(Kind.UNPLUG, once=True)
    errno_of(bench)
    faults.off(Kind.UNPLUG)
    assert active(faults, 0x76) == {Kind.FROZEN}
    assert [rule.kind for rule in faults.rules] == [Kind.FROZEN]
    assert bench.chip.frozen
    faults.off()
    assert active(faults, 0x76) == set()
    assert not bench.chip.frozen
    assert errno_of(bench) is None


def test_the_kernels_answer_comes_before_the_wires() -> None:
    """Of several faults at once, the one is seen that stops a transfer first."""
    bench, faults = faulty()
    order = [(Kind.NACK, None), (Kind.UNPLUG, errno.EREMOTEIO), (Kind.TIMEOUT, errno.ETIMEDOUT), (Kind.BUSY, errno.EBUSY)]
    for kind, number in [*order, (Kind.PERMISSION, errno.EACCES)]:
        faults.on(kind)
        seen = errno_of(bench)
        assert seen in ({errno.EREMOTEIO, errno.ENODEV} if number is None else {number})


@pytest.mark.parametrize("kind", [Kind.TIMEOUT, Kind.BUSY, Kind.PERMISSION, Kind.NACK])
def test_a_fault_hits_an_empty_address_as_well(kind: Kind) -> None:
    bench, faults = faulty()
    assert errno_of(bench, 0x10) == errno.EREMOTEIO
    faults.on(kind)
    expected = {Kind.TIMEOUT: {errno.ETIMEDOUT}, Kind.BUSY: {errno.EBUSY}, Kind.PERMISSION: {errno.EACCES}}
    assert errno_of(bench, 0x10) in expected.get(kind, {errno.EREMOTEIO, errno.ENODEV})


@pytest.mark.parametrize("kind", [Kind.FROZEN, Kind.DRIFT, Kind.SPIKE, Kind.BIT_FLIP, Kind.BROWN_OUT, Kind.WRONG_ID, Kind.SHORT_READ])
def test_a_fault_in_a_chip_that_is_not_there_is_no_more_than_its_silence(kind: Kind) -> None:
    bench, faults = faulty()
    faults.on(kind)
    assert errno_of(bench, 0x10) == errno.EREMOTEIO


def test_chances_add_up_to_at_most_one_fault_a_transfer() -> None:
    bench, faults = faulty()
    for kind in (Kind.NACK, Kind.TIMEOUT, Kind.BUSY):
        faults.on(kind, 0.3)
    failed = sum(errno_of(bench) is not None for _ in range(3000))
    assert failed == faults.counts.total()
    assert failed == pytest.approx(2700, abs=90)
    for kind in (Kind.NACK, Kind.TIMEOUT, Kind.BUSY):
        assert faults.counts[kind, 0x76] == pytest.approx(900, abs=110)


def test_of_probability_zero_nothing_happens() -> None:
    bench, faults = faulty()
    faults.on(Kind.NACK, 0.0)
    assert [errno_of(bench) for _ in range(500)] == [None] * 500


def test_a_short_read_may_lose_all_but_never_gives_all() -> None:
    bench, faults = faulty()
    faults.on(Kind.SHORT_READ)
    lengths = {len(bench.bus._attempt(0x76, b"\x88", 6)) for _ in range(200)}
    assert lengths == set(range(6))
    assert bench.bus._attempt(0x76, b"\xf5\x00", 0) == b"", "a write has nothing to lose"


def test_every_bit_may_flip_in_what_is_read_and_in_what_is_written() -> None:
    bench, faults = faulty()
    whole = bench.bus._attempt(0x76, b"\x88", 2)
    faults.on(Kind.BIT_FLIP)
    flips = {int.from_bytes(whole, "big") ^ int.from_bytes(bench.bus._attempt(0x76, b"\x88", 2), "big") for _ in range(500)}
    assert flips == {1 << bit for bit in range(16)}
    heard: list[bytes] = []
    bench.chip.write = heard.append
    for _ in range(500):
        bench.bus._attempt(0x76, b"\xf5\xa0", 0)
    assert {int.from_bytes(data, "big") ^ 0xF5A0 for data in heard} == {1 << bit for bit in range(16)}
    heard.clear()
    bench.chip.read = bytes
    bench.bus._attempt(0x76, b"\xf5", 1)
    assert heard == [b"\xf5"], "of a read with its register, only what comes back is damaged"


def test_a_bad_check_sum_spares_the_words() -> None:
    bench, faults = faulty("scd4x")
    bench.driver.read()
    faults.on(Kind.BAD_CRC)
    for _ in range(50):
        bench.clock.sleep(5)
        bench.bus._attempt(0x62, b"\xe4\xb8", 0)
        bench.clock.sleep(0.001)
        data = bench.bus._attempt(0x62, b"", 3)
        assert data[:2] in (b"\x80\x00", b"\x80\x06")
        assert (data[2] ^ (0xA2 if data[1] == 0 else data[2])).bit_count() <= 1
    with pytest.raises(errors.ChecksumError):
        bench.driver.setup()


@pytest.mark.parametrize("seed", range(6))
def test_drift_and_spike_go_either_way_and_as_far_as_they_are_told(seed: int) -> None:
    signs = set()
    for kind in (Kind.DRIFT, Kind.SPIKE):
        for number in range(8):
            bench, _ = faulty()
            bench.bus.faults = faults = Faults(bench.clock, f"{seed} {number}")
            faults.on(kind, once=True, seconds=100, size=0.01)
            if kind is Kind.DRIFT:
                bench.read()
                bench.clock.sleep(100 - 0.02)
            off = bench.read()["temperature"] - WORLD["temperature"]
            assert abs(off) == pytest.approx(1.45, abs=0.02), "a hundredth of 145 °C"
            signs.add(off > 0)
    assert signs == {False, True}


def test_a_spike_that_the_next_conversion_will_feel_is_known() -> None:
    bench, faults = faulty()
    faults.on(Kind.SPIKE, once=True)
    errno_of(bench)
    assert active(faults, 0x76) == {Kind.SPIKE}
    assert active(faults, 0x77) == set()
    bench.read()
    bench.read()
    assert active(faults, 0x76) == set()


def loaded(folder: Path, text: str, now: float = 0.0) -> Faults:
    path = folder / "faults.toml"
    path.write_text(text)
    return script.load(path, VirtualClock(now))


def test_a_script_may_leave_out_all_but_the_kind(tmp_path: Path) -> None:
    (rule,) = loaded(tmp_path, '[[fault]]\nkind = "drift"\n', 50.0).rules
    expected = Rule(Kind.DRIFT, 1.0, None, 600.0, 0.05, 50.0, 50.0 + 1e9, once=False)
    assert rule == expected


def test_a_script_counts_from_when_it_was_loaded(tmp_path: Path) -> None:
    one, two = loaded(
        tmp_path,
        '[[fault]]\nkind = "nack"\nfrom = 10\nuntil = 20\naddress = 0x77\nprobability = 0.25\n'
        '[[fault]]\nkind = "spike"\nat = 5\nsize = 0.5\nseconds = 2\n',
        100.0,
    ).rules
    assert one == Rule(Kind.NACK, 0.25, 0x77, 0.0, 0.0, 110.0, 120.0, once=False)
    assert two == Rule(Kind.SPIKE, 1.0, None, 2.0, 0.5, 105.0, 100.0 + 1e9, once=True)


def test_scripts_of_one_seed_are_the_same_chance_and_without_one_the_seed_is_0(tmp_path: Path) -> None:
    def chance(seed: str) -> list[int | None]:
        bench, _ = faulty()
        bench.bus.faults = loaded(tmp_path, f'{seed}[[fault]]\nkind = "nack"\nprobability = 0.5\n')
        return [errno_of(bench) for _ in range(60)]

    assert chance("seed = 3\n") == chance("seed = 3\n") != chance("seed = 4\n")
    assert chance("") == chance("seed = 0\n")


@pytest.mark.parametrize("address", [0x08, 0x77])
def test_a_script_may_name_every_address_that_a_device_may_have(tmp_path: Path, address: int) -> None:
    assert loaded(tmp_path, f'[[fault]]\nkind = "nack"\naddress = {address}\n').rules[0].address == address
    with pytest.raises(errors.FaultScriptError, match="expected an integer from 0x8 to 0x77"):
        loaded(tmp_path, '[[fault]]\nkind = "nack"\naddress = 0x07\n')
