"""Frames in, orders out, on the data path of either width, loaded over its control bus by the host's own loader."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb

from hdl.datapath import DataPath
from tests.support import frames
from tests.support.control_bus import check_orders, load
from tests.support.desk import Market
from tests.support.stepper import Stepper
from tests.system.test_datapath import EOT_TO_SOF, geometry

WIDTH = int(os.environ["WIDTH"])


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
    await load(bench, market, geometry(WIDTH))
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

    check_orders(raw)
