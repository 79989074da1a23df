"""Portfolio against sums from scratch."""

from __future__ import annotations

import random

import cocotb

from hdl.risk.portfolio import Portfolio
from hdl.spec.geometry import Geometry
from tests.hdl.risk.exposures import SUMS, Held, sums
from tests.support.stepper import Stepper

GEOMETRY = Geometry(slots=5, pairs=4)
SLOT_CLOCKS = 13
QUIET = (SLOT_CLOCKS + 1) * (GEOMETRY.slots + 1)
FIRST_SETTLING, LAST_SETTLING = 25, 37


class Bench(Stepper):
    entered = -2
    # Its memories outlive a reset.
    held = [Held() for _ in range(GEOMETRY.slots)]

    def __init__(self, dut):
        super().__init__(dut, Portfolio(geometry=GEOMETRY), levels=("settling", "counted", *SUMS))

    async def start(self) -> None:
        await self.reset()
        await self.step(QUIET)

    def look(self, slot: int, bid: int, ask: int) -> None:
        self.offer("bbo", {"slot": slot, "touch": {"bid_price": bid, "ask_price": ask}})
        self.held[slot].look(bid, ask)

    def book(self, slot: int, *, cash: int | None = None, price: int = 0, leg: int | None = None, **shares: int) -> None:
        """The ledger's word: shares, cash with a fill, leg where an order was entered."""
        held = self.held[slot]
        for name, value in shares.items():
            setattr(held, name, value)
        if cash is not None:
            held.cash = cash
        if cash is not None or leg is not None:
            held.paid = price
        told = {"slot": slot, "price": price, "entered": int(leg is not None), "leg": leg or 0, "filled": int(cash is not None)}
        exposure = {name: getattr(held, name) for name in ("position", "open_buys", "open_sells")}
        # Cash is only looked at with a fill.
        self.offer("booked", told | {"exposure": exposure, "cash": held.cash if cash is not None else 12345})

    async def enter(self, slots: tuple[int, int], price: int, quantity: int) -> int:
        """Both orders of a pair as the ledger enters them, two clocks apart; give the clocks of settling behind the second."""
        for leg, slot in enumerate(slots):
            side = ("open_buys", "open_sells")[leg]
            self.book(slot, price=price, leg=leg, **{side: getattr(self.held[slot], side) + quantity})
            await self.step(1 if leg else 2)
        clocks = 0
        while True:
            await self.step()
            if not self.get("settling"):
                return clocks
            clocks += 1
            assert clocks <= LAST_SETTLING

    def check(self) -> None:
        found = {name: self.get(name) for name in SUMS}
        assert found == sums(self.held), (found, sums(self.held), self.held)


@cocotb.test()
async def nothing_is_settled_before_all_slots_were_counted(dut):
    bench = Bench(dut)
    await bench.reset()
    clocks = 0
    while not bench.get("counted") if clocks else True:
        await bench.step()
        clocks += 1
        assert bench.get("counted") or bench.get("settling")
        assert clocks <= QUIET
    assert GEOMETRY.slots * SLOT_CLOCKS < clocks
    await bench.step()
    assert not bench.get("settling")
    bench.check()


@cocotb.test()
async def each_rule_by_hand(dut):
    bench = Bench(dut)
    await bench.start()

    async def check(**expected: int) -> None:
        await bench.step(QUIET)
        assert {name: bench.get(name) for name in SUMS} == expected
        bench.check()

    # No price yet: the order's stands for it.
    bench.book(1, price=100, leg=0, open_buys=10)
    await check(pnl=0, long=1000, short=0, gross=1000)
    bench.book(1, price=90, cash=-900, position=10, open_buys=0)
    await check(pnl=0, long=900, short=900, gross=900)
    # Long at the bid, which stays when its side empties.
    bench.look(1, 95, 120)
    await check(pnl=50, long=950, short=950, gross=950)
    bench.look(1, 0, 130)
    await check(pnl=50, long=950, short=950, gross=950)
    # Short at the ask; the sale of more than is held counts as short at the worst.
    bench.book(1, price=95, leg=0, open_sells=30)
    await check(pnl=50, long=950, short=-1900, gross=1900)
    bench.book(1, price=95, cash=1950, position=-20, open_sells=0)
    await check(pnl=1950 - 2600, long=-2600, short=-2600, gross=2600)
    bench.look(1, 80, 100)
    await check(pnl=-50, long=-2000, short=-2000, gross=2000)
    # Another slot is added; nothing cancels in gross.
    bench.look(3, 300, 400)
    bench.book(3, price=400, cash=-4000, position=10)
    await check(pnl=-1050, long=1000, short=1000, gross=5000)


@cocotb.test()
async def widest_numbers_do_not_wrap(dut):
    bench = Bench(dut)
    await bench.start()
    most, price = (1 << 32) - 1, (1 << 32) - 1
    for position, cash in (((1 << 31) - 1, (1 << 63) - 1), (-(1 << 31), -(1 << 63))):
        for slot in range(GEOMETRY.slots):
            bench.book(slot, position=position, open_buys=most, open_sells=most, cash=cash, price=price)
            await bench.step()
            bench.look(slot, price, price)
            await bench.step()
        await bench.step(QUIET)
        bench.check()
    for slot in range(GEOMETRY.slots):
        bench.book(slot, position=0, open_buys=0, open_sells=0, cash=0, price=1)
        await bench.step()
    await bench.step(QUIET)
    bench.check()
    assert all(bench.get(name) == 0 for name in SUMS)


def change(bench: Bench, rng: random.Random) -> None:
    slot = rng.randrange(GEOMETRY.slots)
    if rng.random() < 0.6:
        bench.look(slot, *(rng.choice((0, 1, 9_999, rng.randrange(1 << 32))) for _ in range(2)))
    if rng.random() < 0.5:
        shares = {
            "position": rng.choice((0, 1, -1, rng.randint(-(1 << 31), (1 << 31) - 1))),
            "open_buys": rng.choice((0, 0, 100, rng.randrange(1 << 32))),
            "open_sells": rng.choice((0, 0, 100, rng.randrange(1 << 32))),
        }
        if rng.random() < 0.3:
            shares = dict.fromkeys(shares, 0)
        kind = rng.choice(("fill", "other", "order"))
        more = {"fill": {"cash": rng.randint(-(1 << 62), 1 << 62)}, "other": {}, "order": {"leg": rng.randrange(2)}}[kind]
        # The ledger enters no order while one settles, which shows in the clock behind it.
        if kind != "order" or not (bench.get("settling") or bench.entered == bench.cycle - 1):
            bench.entered = bench.cycle if kind == "order" else bench.entered
            bench.book(rng.choice((slot, rng.randrange(GEOMETRY.slots))), price=rng.randrange(1 << 32), **shares, **more)


@cocotb.test()
async def sums_are_those_from_scratch_after_every_step(dut):
    rng = random.Random(3)
    bench = Bench(dut)
    await bench.start()
    for _ in range(600):
        change(bench, rng)
        await bench.step(QUIET)
        bench.check()


@cocotb.test()
async def no_change_is_lost_however_close_they_come(dut):
    rng = random.Random(4)
    bench = Bench(dut)
    await bench.start()
    for _ in range(400):
        for _ in range(rng.choice((2, 5, 30))):
            change(bench, rng)
            await bench.step(rng.choice((1, 1, 2, 3, rng.randint(1, 2 * SLOT_CLOCKS))))
        await bench.step(QUIET)
        bench.check()


@cocotb.test()
async def every_clock_of_a_touch_around_a_booking(dut):
    """A touch that changes in any clock around the entry of an order for a slot of which nothing was held is not lost."""
    bench = Bench(dut)
    await bench.start()
    for late in range(2 * SLOT_CLOCKS):
        bench.book(2, position=0, open_buys=0, open_sells=0)
        await bench.step(QUIET)
        bench.look(2, 500, 600)
        await bench.step(5)
        bench.book(2, price=600, leg=0, open_buys=7)
        await bench.step(1 + late)
        bench.look(2, 700, 800 + late)
        await bench.step(QUIET)
        bench.check()


@cocotb.test()
async def own_orders_are_in_the_sums_when_settled(dut):
    """Whatever else goes on; and how long it takes."""
    rng = random.Random(5)
    bench = Bench(dut)
    await bench.start()
    seen = set()
    for number in range(300):
        for slot in range(GEOMETRY.slots):
            bench.look(slot, 1_000 + number, 1_001 + number)
            await bench.step()
        await bench.step(rng.randrange(1, QUIET))
        slots = rng.sample(range(GEOMETRY.slots), 2)
        seen.add(await bench.enter((slots[0], slots[1]), 1_000, 1 + number))
        # Other slots may still be on their way: only what touches changed, which are small changes here, may be missing.
        missing = sums(bench.held)["gross"] - bench.get("gross")
        assert missing <= sum(each.position + each.open_buys + each.open_sells for each in bench.held) * 2
        await bench.step(QUIET)
        bench.check()
    assert (min(seen), max(seen)) == (FIRST_SETTLING, LAST_SETTLING), seen
