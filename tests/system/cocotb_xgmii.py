"""Characters of an XGMII in, characters of an XGMII out, through MACs, data path and back."""

from __future__ import annotations

import zlib
from typing import Any

import cocotb

from hdl.appliance import Appliance
from tests.support import frames
from tests.support.control_bus import check_orders, load
from tests.support.desk import Market
from tests.support.stepper import Stepper
from tests.system.test_datapath import EOT_TO_SOF, geometry

IDLE, START, TERMINATE = (0x07, 1), (0xFB, 1), (0xFD, 1)
OPENING = [START, *[(0x55, 0)] * 6, (0xD5, 0)]
PROBES = ("probe__rx_valid", "probe__tx_first")


class Port:
    """The XGMII of the appliance, and what passed its probes."""

    def __init__(self, bench: Stepper) -> None:
        self.bench = bench
        self.sent: list[tuple[int, int]] = []
        self.clocks: dict[str, list[int]] = {name: [] for name in PROBES}

    async def step(self, word: list[tuple[int, int]]) -> None:
        self.bench.set("rxd", int.from_bytes(bytes(byte for byte, _ in word), "little"))
        self.bench.set("rxc", sum(control << lane for lane, (_, control) in enumerate(word)))
        await self.bench.step()
        for name in PROBES:
            if self.bench.get(name):
                self.clocks[name].append(self.bench.cycle - 1)
        control = self.bench.get("txc")
        raw = int(self.bench.get("txd")).to_bytes(8, "little")
        self.sent += [(byte, control >> lane & 1) for lane, byte in enumerate(raw)]

    async def packet(self, raw: bytes, *, lane: int) -> None:
        """A frame that starts in a lane, and idle characters behind it."""
        line = [IDLE] * lane + OPENING + [(byte, 0) for byte in raw + frames.fcs(raw)] + [TERMINATE]
        line += [IDLE] * (-len(line) % 8 + 8 * 120)
        for at in range(0, len(line), 8):
            await self.step(line[at : at + 8])


@cocotb.test()
async def a_trigger_becomes_an_order_frame(dut: Any) -> None:
    component = Appliance(geometry=geometry(8))
    bench = Stepper(dut, component, levels=("txd", "txc", *PROBES))
    await bench.reset()
    bench.set("rxd", 0x0707070707070707)
    bench.set("rxc", 0xFF)
    bench.set("events__ready", 1)
    market = Market()
    await load(bench, market, geometry(8))
    port = Port(bench)
    await port.packet(market.framer.packet(market.opening()), lane=4)
    assert set(port.sent) == {IDLE}

    for name in PROBES:
        port.clocks[name].clear()
    _, message = market.add("AAA", "B", 500, 100.06)
    raw = market.framer.packet([message])
    await port.packet(raw, lane=0)

    # The message's last byte, by the beats at the receive output: they are full but for the last.
    eot = port.clocks["probe__rx_valid"][(len(raw) - 1) // 8]
    assert port.clocks["probe__tx_first"][0] - eot == EOT_TO_SOF[8]

    at = port.sent.index(START)
    assert port.sent[at : at + 8] == OPENING
    end = port.sent.index(TERMINATE)
    burst = bytes(byte for byte, control in port.sent[at + 8 : end] if not control)
    assert len(burst) == end - at - 8
    assert zlib.crc32(burst[:-4]).to_bytes(4, "little") == burst[-4:]
    check_orders(burst[:-4])
    assert set(port.sent[end + 1 :]) == {IDLE}
