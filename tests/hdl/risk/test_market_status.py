import random

import pytest

from hdl.risk.market_status import MarketStatus
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from tests.support.simulation import put, simulate

GEOMETRY = Geometry(slots=4)


def message(kind, *, slot=0, watched=1, code="", market="", malformed=0):
    return {
        "type": ord(kind),
        "slot": slot,
        "watched": watched,
        "code": ord(code) if code else 0,
        "market": ord(market) if market else 0,
        "malformed": malformed,
    }


class Expected:
    """The same rules, told as a story: the last word on each subject counts."""

    def __init__(self):
        self.said = {}

    def tell(self, kind, slot, watched, code, market, malformed):
        if malformed:
            code, market = None, "Q"
        if kind == "S":
            self.said["hours"] = code
            if code == "O":
                self.said.pop("breaker", None)
        elif kind == "W":
            self.said["breaker"] = code
        elif watched and (kind in "HY" or (kind == "h" and market == "Q")):
            self.said[kind, slot] = code

    def halted(self, slot, assume):
        state = self.said.get(("H", slot), "T" if assume else None)
        return state != "T" or self.said.get(("h", slot), "T") != "T"

    def restricted(self, slot):
        return self.said.get(("Y", slot), "0") != "0"

    def open(self, ignore):
        return "breaker" not in self.said and (ignore or self.said.get("hours") == "Q")


async def check(ctx, dut, expected):
    for assume in (0, 1):
        ctx.set(dut.assume_trading, assume)
        ctx.set(dut.ignore_market_hours, assume)
        await ctx.delay(0)
        slots = range(GEOMETRY.slots)
        assert ctx.get(dut.halted) == sum(expected.halted(slot, assume) << slot for slot in slots)
        assert ctx.get(dut.restricted) == sum(expected.restricted(slot) << slot for slot in slots)
        assert ctx.get(dut.market_open) == expected.open(assume)


@pytest.mark.parametrize("seed", range(3))
def test_last_word_counts(seed):
    rng = random.Random(seed)
    dut = MarketStatus(geometry=GEOMETRY)

    async def bench(ctx):
        expected = Expected()
        await check(ctx, dut, expected)
        for _ in range(400):
            kind = rng.choice("SHhYW" + "".join(itch.MESSAGES)) if rng.random() < 0.95 else "O"
            if kind == "W" and rng.random() < 0.7:
                kind = "S"
            codes = {"S": "OSQQQMEC", "H": "TTTHPQ", "h": "HT", "Y": "012", "W": "123"}.get(kind, "TQHO")
            told = {
                "slot": rng.randrange(GEOMETRY.slots),
                "watched": int(rng.random() < 0.8),
                "code": rng.choice(codes),
                "market": rng.choice("QBX"),
                "malformed": int(rng.random() < 0.1),
            }
            await put(ctx, dut.decoded, message(kind, **told))
            expected.tell(kind, **told)
            await check(ctx, dut, expected)

    simulate(dut, bench)


def test_a_slot_given_to_another_stock_is_as_after_a_reset():
    """A card that is loaded anew clears the book: who had the slot says nothing of who has it now. The market is the same."""
    dut = MarketStatus(geometry=GEOMETRY)

    async def bench(ctx):
        for kind, code in (("S", "Q"), ("H", "T"), ("Y", "1"), ("h", "H"), ("W", "1")):
            await put(ctx, dut.decoded, message(kind, slot=1, code=code, market="Q"))
        await put(ctx, dut.decoded, message("H", slot=2, code="T"))
        assert (ctx.get(dut.halted), ctx.get(dut.restricted)) == (0b1011, 0b0010)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        expected = Expected()
        expected.said = {"hours": "Q", "breaker": "1"}
        await check(ctx, dut, expected)
        await put(ctx, dut.decoded, message("H", slot=1, code="T"))
        expected.said["H", 1] = "T"
        await check(ctx, dut, expected)

    simulate(dut, bench)


def test_stale_to_the_clock():
    dut = MarketStatus(geometry=GEOMETRY)
    after = 6

    async def bench(ctx):
        assert not ctx.get(dut.stale)
        ctx.set(dut.stale_after, after)
        await ctx.tick().repeat(2)
        # Nothing was ever heard.
        assert ctx.get(dut.stale)
        for _ in range(3):
            # Of any type, watched or not.
            await put(ctx, dut.decoded, message("P", watched=0))
            found = []
            for _ in range(3 * after):
                await ctx.tick()
                found.append(ctx.get(dut.stale))
            assert found == [0] * (after - 1) + [1] * (2 * after + 1)
        ctx.set(dut.stale_after, 0)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.stale)

    simulate(dut, bench)


def test_a_day():
    dut = MarketStatus(geometry=GEOMETRY)

    async def bench(ctx):
        async def tell(kind, **more):
            await put(ctx, dut.decoded, message(kind, **more))

        assert ctx.get(dut.halted) == 0b1111 and not ctx.get(dut.market_open)
        await tell("S", watched=0, code="O")
        await tell("H", slot=2, code="T")
        assert ctx.get(dut.halted) == 0b1011
        await tell("S", watched=0, code="Q")
        assert ctx.get(dut.market_open)
        await tell("h", slot=2, code="H", market="B")
        assert ctx.get(dut.halted) == 0b1011
        await tell("h", slot=2, code="H", market="Q")
        assert ctx.get(dut.halted) == 0b1111
        await tell("h", slot=2, code="T", market="Q")
        await tell("H", slot=2, code="P")
        assert ctx.get(dut.halted) == 0b1111
        await tell("Y", slot=1, code="1")
        assert ctx.get(dut.restricted) == 0b0010
        await tell("W", watched=0, code="1")
        assert not ctx.get(dut.market_open)
        await tell("S", watched=0, code="Q")
        assert not ctx.get(dut.market_open)
        await tell("S", watched=0, code="O")
        await tell("S", watched=0, code="Q")
        assert ctx.get(dut.market_open)
        await tell("S", watched=0, code="M")
        assert not ctx.get(dut.market_open)

    simulate(dut, bench)
