"""Every register and table is where the map says, takes and gives what it should, and nothing else moves."""

from __future__ import annotations

import random

import pytest

from hdl.control.register_file import RegisterFile
from hdl.spec.geometry import PRESETS
from hdl.spec.registers import Access, Register, Table, checksum
from tests.support.simulation import simulate

GEOMETRY = PRESETS["versa"]


async def write(ctx, registers, address: int, *words: int) -> None:
    for offset, word in enumerate(words):
        ctx.set(registers.bus.address, address + offset)
        ctx.set(registers.bus.write_data, word)
        ctx.set(registers.bus.write, 1)
        await ctx.tick()
    ctx.set(registers.bus.write, 0)


async def read(ctx, registers, address: int) -> int:
    ctx.set(registers.bus.address, address)
    ctx.set(registers.bus.read, 1)
    await ctx.tick()
    ctx.set(registers.bus.read, 0)
    for clock in range(1, 20):
        if ctx.get(registers.bus.read_valid):
            assert clock == RegisterFile.READ_LATENCY
            return ctx.get(registers.bus.read_data)
        await ctx.tick()
    raise AssertionError("read never answered")


def split(value: int, words: int) -> list[int]:
    return [value >> 32 * index & 0xFFFFFFFF for index in range(words)]


def test_registers_hold_what_is_written_and_only_they_change() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    rng = random.Random(3)
    places = [place for place in registers.map if isinstance(place.entry, Register) and place.entry.access is Access.RW]

    async def bench(ctx):
        held = {place.address: place.entry.reset for place in places}
        for place in rng.sample(places, len(places)):
            value = rng.getrandbits(place.entry.bits)
            held[place.address] = value
            await write(ctx, registers, place.address, *split(value, place.entry.words))
            await ctx.tick().repeat(3)
            for other in places:
                port = getattr(getattr(registers, other.block.name), other.entry.name)
                assert ctx.get(port) == held[other.address], other.entry.name
        for place in places:
            words = [await read(ctx, registers, place.address + index) for index in range(place.entry.words)]
            assert words == split(held[place.address], place.entry.words)

    simulate(registers, bench)


def test_load_and_pulse_last_one_clock() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    sequence, clear = registers.map["feed", "next_sequence"], registers.map["book", "clear"]

    async def bench(ctx):
        await write(ctx, registers, sequence.address, 0x89ABCDEF, 0x01234567)
        seen = []
        for _ in range(6):
            seen.append((ctx.get(registers.feed.next_sequence.load.valid), ctx.get(registers.feed.next_sequence.load.payload)))
            await ctx.tick()
        assert [payload for valid, payload in seen if valid] == [0x0123456789ABCDEF]
        await write(ctx, registers, clear.address, 1)
        pulses = 0
        for _ in range(6):
            pulses += ctx.get(registers.book.clear)
            await ctx.tick()
        assert pulses == 1
        assert await read(ctx, registers, clear.address) == 0

    simulate(registers, bench)


def test_upper_words_are_kept_from_the_read_of_the_lowest() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    cycles = registers.map["identity", "cycles"]

    async def clock(ctx):
        value = 0
        while True:
            ctx.set(registers.identity.cycles, value | value << 32)
            await ctx.tick()
            value += 1

    async def bench(ctx):
        for _ in range(5):
            low = await read(ctx, registers, cycles.address)
            assert low
            assert await read(ctx, registers, cycles.address + 1) == low

    simulate(registers, bench, background=(clock,))


def test_a_read_sees_the_write_just_before_it() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    port = registers.map["feed", "port"].address

    async def bench(ctx):
        for value in (1, 2, 3):
            await write(ctx, registers, port, value)
            assert await read(ctx, registers, port) == value

    simulate(registers, bench)


def random_row(rng: random.Random, table: Table) -> dict[str, int]:
    return {
        column.name: rng.getrandbits(column.bits) - (1 << column.bits - 1 if column.signed else 0) for column in table.columns
    }


@pytest.mark.parametrize("preset", PRESETS)
def test_table_rows_arrive_whole(preset: str) -> None:
    registers = RegisterFile(geometry=PRESETS[preset])
    rng = random.Random(5)
    tables = [place for place in registers.map if isinstance(place.entry, Table) and place.entry.access is not Access.RO]

    async def bench(ctx):
        for place in tables:
            port = getattr(getattr(registers, place.block.name), place.entry.name)
            for row in {0, place.rows - 1, rng.randrange(place.rows)}:
                values = random_row(rng, place.entry)
                words = place.entry.pack(**values)
                await write(ctx, registers, place.address + row * place.entry.stride, *words)
                for _ in range(4):
                    if ctx.get(port.valid):
                        break
                    await ctx.tick()
                else:
                    raise AssertionError(f"{place.entry.name}[{row}] was not written")
                payload = ctx.get(port.payload)
                assert payload.index == row
                assert {name: payload.row[name] for name in values} == values
                await ctx.tick()
                assert not ctx.get(port.valid)

    simulate(registers, bench)


def test_counters_are_read_by_row() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    drop = registers.map["status", "drop"]

    async def bench(ctx):
        for row in range(drop.rows):
            ctx.set(registers.status.drop[row], 1)
            await ctx.tick().repeat(row + 1)
            ctx.set(registers.status.drop[row], 0)
        await ctx.tick().repeat(6 * drop.rows)
        for row in range(drop.rows):
            assert await read(ctx, registers, drop.address + row) == row + 1
        assert await read(ctx, registers, drop.address + drop.rows) == 0

    simulate(registers, bench)


def test_totals_gain_what_they_are_told() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    gains = {"frames_received": 1, "orders_refused": 2, "events_lost": 9, "heartbeats": 1}

    async def bench(ctx):
        for clock in range(30):
            for name, most in gains.items():
                ctx.set(getattr(registers.status, name), most if clock % 10 == 0 else 0)
            await ctx.tick()
        await ctx.tick().repeat(20)
        for name, most in gains.items():
            assert await read(ctx, registers, registers.map["status", name].address) == 3 * most
        assert await read(ctx, registers, registers.map["status", "messages"].address) == 0

    simulate(registers, bench)


def test_a_set_changes_in_one_clock_and_is_read_back_before() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    rng = random.Random(9)
    places = [place for place in registers.map if isinstance(place.entry, Register) and place.entry.access is Access.SET]
    ports = [getattr(getattr(registers, place.block.name), place.entry.name) for place in places]

    async def bench(ctx):
        live = [place.entry.reset for place in places]
        for frozen in (0, 1, 0, 0):
            ctx.set(registers.frozen, frozen)
            staged = [rng.getrandbits(place.entry.bits) for place in places]
            refused = 0
            for place, value in zip(places, staged, strict=True):
                await write(ctx, registers, place.address, *split(value, place.entry.words))
                for _ in range(3):
                    refused += ctx.get(registers.refused)
                    await ctx.tick()
                assert [ctx.get(port) for port in ports] == live
            assert refused == (len(places) if frozen else 0)
            ctx.set(registers.frozen, 0)
            if frozen:
                staged = live
            for place, value in zip(places, staged, strict=True):
                words = [await read(ctx, registers, place.address + index) for index in range(place.entry.words)]
                assert words == split(value, place.entry.words), place.entry.name
            ctx.set(registers.swap, 1)
            await ctx.tick()
            ctx.set(registers.swap, 0)
            live = staged
            assert [ctx.get(port) for port in ports] == live

    simulate(registers, bench)


def test_the_checksum_is_of_every_word_and_its_address() -> None:
    registers = RegisterFile(geometry=GEOMETRY)
    rng = random.Random(11)

    async def bench(ctx):
        expected = 0
        for _ in range(200):
            address, word = rng.getrandbits(20), rng.getrandbits(32)
            await write(ctx, registers, address, word)
            expected = checksum(expected, address, word)
            await ctx.tick().repeat(2)
            assert ctx.get(registers.checksum) == expected

    simulate(registers, bench)


def test_a_word_that_is_wrong_missing_or_moved_shows() -> None:
    rng = random.Random(12)
    writes = [(rng.getrandbits(20), rng.getrandbits(32)) for _ in range(40)]

    def of(those: list[tuple[int, int]]) -> int:
        total = 0
        for address, word in those:
            total = checksum(total, address, word)
        return total

    for at, (address, word) in enumerate(writes):
        before, after = writes[:at], writes[at + 1 :]
        others = [[*before, (address, word ^ 1 << bit), *after] for bit in range(32)]
        others += [[*before, (address ^ 1 << bit, word), *after] for bit in range(20)]
        others += [[*before, *after], [*before, writes[at], *writes[at:]]]
        if at:
            others.append([*before[:-1], writes[at], before[-1], *after])
        assert of(writes) not in map(of, others)
