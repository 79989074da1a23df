"""The serial control port, driven by a serial line written here bit by bit."""

import functools

import pytest
from amaranth.sim import Simulator

from hdl.boards.byte_link import ByteLink
from hdl.boards.serial_receiver import SerialReceiver
from hdl.boards.serial_transmitter import SerialTransmitter
from tests.support.bench import run_cocotb

DIVISOR = 8
PATIENCE = 400


class Line:
    """A host on the other end of the two wires."""

    def __init__(self, dut):
        self.dut, self.heard, self.bus = dut, bytearray(), []

    async def send(self, ctx, raw, *, stop=1):
        for byte in raw:
            for bit in [0, *(byte >> place & 1 for place in range(8)), stop]:
                ctx.set(self.dut.rx, bit)
                await ctx.tick().repeat(DIVISOR)
        ctx.set(self.dut.rx, 1)

    async def listen(self, ctx):
        while True:
            await ctx.tick().until(self.dut.tx == 0)
            await ctx.tick().repeat(DIVISOR // 2 + DIVISOR)
            value = 0
            for place in range(8):
                value |= ctx.get(self.dut.tx) << place
                await ctx.tick().repeat(DIVISOR)
            assert ctx.get(self.dut.tx) == 1, "stop bit"
            self.heard.append(value)

    async def card(self, ctx):
        """Registers: notes each access and answers a read three clocks later with its address times 3."""
        bus = self.dut.control
        while True:
            _, _, write, read, address, word = await ctx.tick().sample(bus.write, bus.read, bus.address, bus.write_data)
            if write:
                self.bus.append(("write", address, word))
            if read:
                self.bus.append(("read", address))
                await ctx.tick().repeat(2)
                ctx.set(bus.read_data, address * 3)
                ctx.set(bus.read_valid, 1)
                await ctx.tick()
                ctx.set(bus.read_valid, 0)


def run(bench):
    dut = ByteLink(divisor=DIVISOR, patience=PATIENCE)
    line = Line(dut)
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(functools.partial(bench, line=line))
    simulator.add_testbench(line.listen, background=True)
    simulator.add_testbench(line.card, background=True)
    simulator.run()
    return line


def test_writes_and_reads():
    async def bench(ctx, line):
        ctx.set(line.dut.rx, 1)
        await ctx.tick().repeat(20)
        await line.send(ctx, b"W\x0a\xbc\xde\x12\x34\x56\x78")
        await line.send(ctx, b"R\x01\x02\x03")
        await ctx.tick().repeat(60 * DIVISOR)

    line = run(bench)
    assert line.bus == [("write", 0xABCDE, 0x12345678), ("read", 0x10203)]
    assert bytes(line.heard) == b"D" + (0x10203 * 3).to_bytes(4, "big")


def test_events_are_told_word_by_word_and_marked_at_the_end():
    words = [(0x42070000, 0), (0x01020304, 0), (0xFFFFFFFF, 1)]

    async def bench(ctx, line):
        ctx.set(line.dut.rx, 1)
        for word, last in words:
            ctx.set(line.dut.events.payload.data, word)
            ctx.set(line.dut.events.payload.last, last)
            ctx.set(line.dut.events.valid, 1)
            await ctx.tick().until(line.dut.events.ready)
        ctx.set(line.dut.events.valid, 0)
        await ctx.tick().repeat(60 * DIVISOR)

    assert bytes(run(bench).heard) == b"".join((b"L" if last else b"E") + word.to_bytes(4, "big") for word, last in words)


def test_a_broken_off_command_is_forgotten():
    async def bench(ctx, line):
        ctx.set(line.dut.rx, 1)
        await ctx.tick().repeat(20)
        await line.send(ctx, b"?W\x00\x00\x01\x00")
        await ctx.tick().repeat(PATIENCE + 10)
        await line.send(ctx, b"W\x00\x00\x02\x00\x00\x00\x09")
        await ctx.tick().repeat(20)

    assert run(bench).bus == [("write", 2, 9)]


def test_a_byte_without_stop_bit_is_not_taken():
    async def bench(ctx, line):
        ctx.set(line.dut.rx, 1)
        await ctx.tick().repeat(20)
        await line.send(ctx, b"R", stop=0)
        await ctx.tick().repeat(20 * DIVISOR)
        await line.send(ctx, b"R\x00\x00\x05")
        await ctx.tick().repeat(20)

    assert run(bench).bus == [("read", 5)]


def test_impossible_parameters_are_named():
    for kind in (SerialReceiver, SerialTransmitter, ByteLink):
        with pytest.raises(ValueError, match="divisor: 3 was given, allowed are 4 and more"):
            _ = kind(divisor=3)
    with pytest.raises(ValueError, match="patience: 80 was given, allowed are more than the 80 clocks of a byte"):
        ByteLink(divisor=8, patience=80)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("divisor", [4, 7])
def test_under_verilator(divisor, seed):
    run_cocotb(
        ByteLink(divisor=divisor),
        module="tests.hdl.boards.cocotb_byte_link",
        name="byte_link",
        parameters={"DIVISOR": str(divisor), "SEED": str(seed)},
    )
