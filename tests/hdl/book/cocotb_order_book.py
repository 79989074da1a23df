"""Plays a scenario file into an order book and writes down what comes out. Judged by tests/hdl/book/test_order_book.py."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer, ValueChange

from hdl.spec.reasons import IntegrityCause

PERIOD = 8
NAMES = ("bbo", "trades", "events", "drops", "accepts", "sent", "lost_private", "unreadable", "states")
INPUTS = ("message__valid", "message__payload", "clear", "declare_exact", "suspect__valid", "suspect__payload", "now", "detached")


@cocotb.test()
async def play(dut: Any) -> None:
    """Inputs change and outputs are read at falling edges, so both belong to one clock. Python runs only at what happens."""
    scenario = json.loads(Path(os.environ["SCENARIO"]).read_text())
    rng = random.Random(9)
    seen: dict[str, Any] = {name: [] for name in NAMES}
    for name in INPUTS:
        getattr(dut, name).value = 0
    Clock(dut.clk, PERIOD, "ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await FallingEdge(dut.clk)
    while not int(dut.ready.value):
        await ClockCycles(dut.clk, 16)
    await FallingEdge(dut.clk)
    start = get_sim_time("ns")

    def clock() -> int:
        return int(get_sim_time("ns") - start) // PERIOD

    async def watch(valid: Any, payload: Any, rows: list[tuple[int, str]]) -> None:
        while True:
            await RisingEdge(valid)
            await FallingEdge(dut.clk)
            while int(valid.value):
                rows.append((clock(), hex(int(payload.value))))
                await FallingEdge(dut.clk)

    async def doubt() -> None:
        """As around the book: what may be of any slot makes all of them SUSPECT."""
        while True:
            await RisingEdge(dut.unreadable)
            await FallingEdge(dut.clk)
            dut.suspect__valid.value, dut.suspect__payload.value = 1, IntegrityCause.MALFORMED
            await FallingEdge(dut.clk)
            dut.suspect__valid.value = 0

    cocotb.start_soon(doubt())
    cocotb.start_soon(watch(dut.unreadable, dut.unreadable, seen["unreadable"]))
    for port, name in (("bbo", "bbo"), ("trade", "trades"), ("integrity_event", "events"), ("accept", "accepts")):
        cocotb.start_soon(watch(getattr(dut, f"{port}__valid"), getattr(dut, f"{port}__payload"), seen[name]))

    async def watch_states() -> None:
        while True:
            seen["states"].append((clock(), int(dut.integrity.value)))
            await ValueChange(dut.integrity)
            await FallingEdge(dut.clk)

    cocotb.start_soon(watch_states())
    for step in scenario["steps"]:
        if step["gap"] > 1:
            await Timer((step["gap"] - 1) * PERIOD, "ns")
        message = int(step["message"], 16)
        if message:
            dut.message__valid.value = 1
            dut.message__payload.value = message
            seen["sent"].append((clock(), hex(message)))
        for name in ("clear", "declare_exact", "recovered", "given_up"):
            if name in step:
                getattr(dut, name).value = 1
        if "detached" in step:
            dut.detached.value = step["detached"]
        if "suspect" in step:
            dut.suspect__valid.value = 1
            dut.suspect__payload.value = step["suspect"]
        await Timer(PERIOD, "ns")
        if (mask := int(dut.drop.value)) != 0:
            seen["drops"].append((clock() - 1, hex(mask)))
            if int(dut.lost_private.value):
                seen["lost_private"].append(clock() - 1)
        for name in ("message__valid", "clear", "declare_exact", "recovered", "given_up", "suspect__valid"):
            getattr(dut, name).value = 0
        if message:
            # The decoder shows the next message as its bytes come: the type first, of what follows anything; the slot stays.
            half_read = rng.getrandbits(len(dut.message__payload)) & ~scenario["stays"] & ~0xFF
            dut.message__payload.value = (message & scenario["stays"]) | half_read | ord(rng.choice("AFECXDUPR"))
    await Timer(scenario["settle"] * PERIOD, "ns")
    seen["integrity"], seen["live"], seen["peak"] = (int(port.value) for port in (dut.integrity, dut.live_orders, dut.table_peak))
    assert int(dut.ready.value) == 1
    Path(os.environ["RESULT"]).write_text(json.dumps(seen))
