"""The serial control port under Verilator: long random runs of reads, writes and events at once."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

DIVISOR = int(os.environ["DIVISOR"])


async def send(dut, raw):
    """One byte after the other on the line to the card."""
    for byte in raw:
        for bit in [0, *(byte >> place & 1 for place in range(8)), 1]:
            dut.rx.value = bit
            await ClockCycles(dut.clk, DIVISOR)


async def listen(dut, heard):
    """Bytes on the line from the card."""
    while True:
        while dut.tx.value == 1:
            await RisingEdge(dut.clk)
        await ClockCycles(dut.clk, DIVISOR // 2)
        byte = 0
        for place in range(8):
            await ClockCycles(dut.clk, DIVISOR)
            byte |= int(dut.tx.value) << place
        await ClockCycles(dut.clk, DIVISOR)
        assert dut.tx.value == 1, "stop bit"
        heard.append(byte)


async def registers(dut, words):
    """A memory on the control bus, five clocks for a read as the card's own takes."""
    while True:
        await RisingEdge(dut.clk)
        if dut.control__write.value == 1:
            words[int(dut.control__address.value)] = int(dut.control__write_data.value)
        if dut.control__read.value == 1:
            address = int(dut.control__address.value)
            await ClockCycles(dut.clk, 4)
            dut.control__read_data.value = words[address]
            dut.control__read_valid.value = 1
            await RisingEdge(dut.clk)
            dut.control__read_valid.value = 0


async def tell(dut, records, source):
    """Event words, with pauses."""
    for word, last in records:
        dut.events__payload__data.value = word
        dut.events__payload__last.value = last
        dut.events__valid.value = 1
        await RisingEdge(dut.clk)
        while dut.events__ready.value == 0:
            await RisingEdge(dut.clk)
        dut.events__valid.value = 0
        await ClockCycles(dut.clk, source.randrange(1, 400))


@cocotb.test()
async def reads_writes_and_events_at_once(dut):
    source = random.Random(int(os.environ["SEED"]))
    dut.rx.value = 1
    dut.rst.value = 1
    for port in (dut.control__read_data, dut.control__read_valid, dut.events__valid, dut.events__payload__data):
        port.value = 0
    dut.events__payload__last.value = 0
    cocotb.start_soon(Clock(dut.clk, 8, unit="ns").start())
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 4)
    heard, words = bytearray(), {}
    cocotb.start_soon(listen(dut, heard))
    cocotb.start_soon(registers(dut, words))
    records = [(source.randrange(1 << 32), source.randrange(2)) for _ in range(40)]
    teller = cocotb.start_soon(tell(dut, records, source))

    expected, written = [], {}
    for _ in range(40):
        if written and source.randrange(2):
            address = source.choice(list(written))
            count = sum(heard[at] == ord("D") for at in range(0, len(heard), 5))
            await send(dut, b"R" + address.to_bytes(3, "big"))
            expected.append(written[address])
            # The host's duty: no second command before the answer.
            while sum(heard[at] == ord("D") for at in range(0, len(heard) - 4, 5)) == count:
                await RisingEdge(dut.clk)
        else:
            address, word = source.randrange(1 << 20), source.randrange(1 << 32)
            await send(dut, b"W" + address.to_bytes(3, "big") + word.to_bytes(4, "big"))
            written[address] = word
    await teller
    await ClockCycles(dut.clk, 120 * DIVISOR)

    answers = [bytes(heard[at : at + 5]) for at in range(0, len(heard), 5)]
    assert words == written
    assert [int.from_bytes(answer[1:], "big") for answer in answers if answer[:1] == b"D"] == expected
    told = [(int.from_bytes(answer[1:], "big"), int(answer[:1] == b"L")) for answer in answers if answer[:1] != b"D"]
    assert told == records
