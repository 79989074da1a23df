"""Frames in, orders out, on the data path of either width, loaded over its control bus by the host's own loader."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl.datapath import DataPath
from hdl.spec.reasons import Mode
from hdl.spec.registers import RegisterMap, Table
from host.loader import Loader, OrderSession
from tests.host.fake_card import FakeCard
from tests.support import frames
from tests.support.desk import CONFIGURATION, Market
from tests.support.stepper import Stepper
from tests.system.test_datapath import EOT_TO_SOF, geometry

WIDTH = int(os.environ["WIDTH"])


class Recorder(FakeCard):
    """Keeps what the loader writes as accesses of the control bus."""

    def __init__(self) -> None:
        super().__init__(geometry(WIDTH))
        self._map = RegisterMap(self.geometry)
        self.accesses: list[tuple[int, int]] = []

    def _words(self, address: int, words: list[int]) -> None:
        self.accesses += [(address + offset, word) for offset, word in enumerate(words)]

    def write(self, block: str, name: str, value: int) -> None:
        super().write(block, name, value)
        place = self._map[block, name]
        self._words(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(place.entry.words)])

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        super().write_row(block, table, row, **columns)
        place = self._map[block, table]
        assert isinstance(place.entry, Table)
        self._words(place.address + row * place.entry.stride, place.entry.pack(**columns))

    def pulse(self, block: str, name: str) -> None:
        super().pulse(block, name)
        self._words(self._map[block, name].address, [1])


async def load(bench: Stepper, market: Market) -> None:
    """Set the data path up as the host does."""
    card = Recorder()
    loader = Loader(card)
    loader.load(CONFIGURATION, market.feed, OrderSession())
    loader.arm(Mode.LIVE)
    for address, word in card.accesses:
        bench.set("control__address", address)
        bench.set("control__write_data", word)
        bench.set("control__write", 1)
        await bench.step()
        bench.set("control__write", 0)
        # The pulse that clears the book takes a clock a table row.
        await bench.step(40)


async def packet(bench: Stepper, rng: random.Random, raw: bytes) -> list[int]:
    """Send a packet and the gap behind it; the clock of each byte."""
    clocks = await frames.drive(bench, "receive", raw + frames.fcs(raw), width=WIDTH, rng=rng, error=0)
    await bench.step(60)
    return clocks


@cocotb.test()
async def a_trigger_becomes_an_order_frame(dut: Any) -> None:
    rng = random.Random(WIDTH)
    bench = Stepper(dut, DataPath(geometry=geometry(WIDTH)), collect=("transmit",))
    await bench.reset()
    bench.set("transmit__ready", 1)
    bench.set("transmit_idle", 1)
    bench.set("events__ready", 1)
    market = Market()
    await load(bench, market)
    await packet(bench, rng, market.framer.packet(market.opening()))
    assert not bench.taken("transmit")

    _, message = market.add("AAA", "B", 500, 100.06)
    clocks = await packet(bench, rng, market.framer.packet([message]))
    await bench.step(120)
    beats = bench.taken("transmit")
    assert beats[0][1]["first"]
    assert beats[-1][1]["last"]
    raw = frames.collected(beats)
    # The message is the packet's last; behind it stand the four bytes of the check sequence.
    eot = clocks[-5]
    assert beats[0][0] - eot == EOT_TO_SOF[WIDTH]
    # Without a gap: the MAC may not be starved.
    assert [clock for clock, _ in beats] == list(range(beats[0][0], beats[0][0] + len(beats)))

    ether = Ether(raw)
    sums = ether[IP].chksum, ether[TCP].chksum
    del ether[IP].chksum, ether[TCP].chksum
    again = Ether(bytes(ether))
    assert (again[IP].chksum, again[TCP].chksum) == sums
    payload = bytes(again[TCP].payload)
    assert [payload[at + 8 : at + 9] + payload[at + 13 : at + 16] for at in (0, 50)] == [b"TAAA", b"BBBB"]
