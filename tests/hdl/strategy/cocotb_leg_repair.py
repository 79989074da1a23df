"""LegRepair alone, against a ledger and a gate played here, and a statement of what it does in plain Python."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import cocotb

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import LegAction, LegPolicy, PairOutcome
from hdl.strategy.leg_repair import LegRepair
from tests.support.stepper import Stepper

GEOMETRY = Geometry(slots=8, pairs=6)
BUY, SELL = 0, 1
VERDICT = 5
"""Clocks from a request that was taken to its verdict."""
LATENCY, LEAST = 11, 13
ROW = {"enabled": 1, "policy": LegPolicy.COMPLETE, "leg_tries": 3, "slippage": 2}


@dataclass
class Leg:
    """A leg of a pair's orders: what was asked for and what is held of it."""

    slot: int
    side: int
    size: int
    held: int = 0


@dataclass
class Pair:
    """What is to be known of a pair."""

    legs: list[Leg]
    orders: int = 2
    tries: int = 0
    row: dict[str, int] = field(default_factory=lambda: dict(ROW))
    rejected: int = 0
    """The exchange rejected one of its own orders."""

    def outcome(self) -> PairOutcome:
        if all(leg.held == leg.size for leg in self.legs):
            return PairOutcome.FILLED
        return PairOutcome.LEGGED if any(leg.held for leg in self.legs) else PairOutcome.NOTHING

    def wants(self) -> tuple[LegAction, int, int, int] | None:
        """What is to be asked for: action, leg, side and quantity; None: nothing, the pair ends as it is."""
        policy, tries = self.row["policy"], self.row["leg_tries"]
        if self.outcome() is not PairOutcome.LEGGED or not self.row["enabled"] or self.tries >= tries:
            return None
        for number, leg in enumerate(self.legs):
            if policy == LegPolicy.COMPLETE and leg.held < leg.size:
                return LegAction.COMPLETE, number, leg.side, leg.size - leg.held
            if policy == LegPolicy.UNWIND and leg.held:
                return LegAction.UNWIND, number, 1 - leg.side, leg.held
        return None


def limit(price: int, side: int, slippage: int) -> int:
    ticks = slippage * (1 if price < 10_000 else 100)
    if side == SELL:
        return min(max(price - ticks, 1), 1_999_999_900)
    return min(price + ticks, 10_000 if price < 10_000 else 1_999_999_900)


class Bench(Stepper):
    verdict_at: int | None = None
    """Of the request that was taken last."""
    ready = leaves = True
    """What the gate does."""
    luck: random.Random | None = None
    """Decides whether what is asked for leaves; `left` tells, by the clock in which it was taken."""
    left: dict[int, bool]

    def __init__(self, dut):
        super().__init__(
            dut, LegRepair(geometry=GEOMETRY), collect=("ended", "request", "event"), levels=("busy",)
        )

    async def start(self, *, cooldown: int = 0) -> None:
        self.verdict_at = None
        await self.reset()
        self.bank = 0
        self.ready = self.leaves = True
        self.set("cooldown", cooldown)
        self.set("request__ready", 1)
        self.pairs: dict[int, Pair] = {}
        self.touches: dict[int, tuple[int, int]] = {}
        for slot in range(GEOMETRY.slots):
            await self.touch(slot, 1_000_000 + 10_000 * slot, 1_000_100 + 10_000 * slot)

    async def rows(self, **rows: dict[str, int]) -> None:
        """Have rows in force, by pair as in ``p3``; others have no policy."""
        for number in range(GEOMETRY.pairs):
            row = rows.get(f"p{number}", {})
            self.offer("pairs", {"index": number, "row": {name: int(value) for name, value in row.items()}})
            await self.step()
        self.set("hold", 1)
        await self.step(8)
        self.bank ^= 1
        self.set("bank", self.bank)
        self.set("hold", 0)
        await self.step(2)

    async def touch(self, slot: int, bid: int, ask: int) -> None:
        self.offer("bbo", {"slot": slot, "touch": {"bid_price": bid, "ask_price": ask}})
        self.touches[slot] = (bid, ask)
        await self.step()

    async def trade(self, number: int, sizes: tuple[int, int] = (100, 200), *, side: int = SELL, rejected: int = 0) -> Pair:
        """Both orders of a pair are entered."""
        legs = [Leg(number, side, sizes[0]), Leg(number + 1, 1 - side, sizes[1])]
        self.pairs[number] = pair = Pair(legs, rejected=rejected)
        for index, leg in enumerate(legs):
            told = {"pair": number, "leg": index, "slot": leg.slot, "side": leg.side, "quantity": leg.size, "entered": 1}
            self.offer("leg_told", told)
            await self.step(2)
        return pair

    async def report(self, number: int, leg: int, filled: int = 0, *, ends: bool = False, side: int | None = None) -> int:
        """A report of an order of the pair, or with a side of one that repairs it. Gives the clock it was told in."""
        pair = self.pairs[number]
        one = pair.legs[leg]
        repairs = side is not None
        side = one.side if side is None else side
        one.held += filled if side == one.side else -filled
        at = self.cycle
        told = {"pair": number, "leg": leg, "slot": one.slot, "side": side, "quantity": filled, "ended": int(ends and repairs)}
        self.offer("leg_told", told)
        if ends and not repairs:
            pair.orders -= 1
            if pair.orders == 0:
                self.offer("done", {"pair": number, "outcome": int(pair.outcome()), "rejected": pair.rejected})
        await self.step(5)
        return at

    async def legs(self, number: int, first: int, second: int, **more) -> int:
        """A trade of which so many shares of either leg were filled. Gives the clock of its end."""
        await self.trade(number, **more)
        await self.report(number, 0, first, ends=True)
        return await self.report(number, 1, second, ends=True)

    async def step(self, clocks: int = 1) -> None:
        """With a gate that judges."""
        for _ in range(clocks):
            at = self.verdict_at
            now = self.cycle
            self.set("judging", int(at is not None and now <= at))
            self.set("left", int(now == at and self.leaves))
            self.set("request__ready", int(self.ready and (at is None or now > at)))
            await super().step()
            if self.seen["request"] and self.seen["request"][-1][0] == now and self.ready and (at is None or now > at):
                self.verdict_at = now + VERDICT
                if self.luck is not None:
                    self.leaves = self.left[now] = self.luck.random() < 0.8

    async def asked(self, number: int, *, clocks: int = 60) -> tuple[int, dict]:
        """The one request that comes, checked; gives its clock."""
        pair = self.pairs[number]
        wanted = pair.wants()
        assert wanted is not None
        for _ in range(clocks):
            if self.seen["request"]:
                break
            await self.step()
        [(at, request)] = self.taken("request")
        action, leg, side, quantity = wanted
        order = request["legs"][0]
        slot = pair.legs[leg].slot
        price = limit(self.touches[slot][side == BUY], side, pair.row["slippage"])
        expected = {"slot": slot, "side": side, "short": 0, "quantity": quantity, "price": price, "user_ref_num": 0}
        assert order == expected, (order, expected)
        assert (request["pair"], request["leg"], request["single"], request["repair"]) == (number, leg, 1, 1)
        await self.step(2)
        [(told_at, event)] = self.taken("event")
        assert told_at == at + 1
        assert (event["pair"], event["action"], event["cycle"]) == (number, action, at), event
        assert event["sequence"] == event["spread"] == 0
        pair.tries += 1
        await self.step(VERDICT)
        return at, request


@cocotb.test()
async def what_is_not_legged_goes_on_at_once(dut):
    bench = Bench(dut)
    await bench.start()
    off = ROW | {"enabled": 0}
    await bench.rows(p0=ROW, p1=ROW | {"policy": LegPolicy.STOP}, p2=ROW | {"leg_tries": 0}, p3=ROW | {"policy": 3}, p4=off)
    for filled, outcome in (((100, 200), PairOutcome.FILLED), ((0, 0), PairOutcome.NOTHING)):
        for rejected in (0, 1):
            at = await bench.legs(0, *filled, rejected=rejected)
            assert bench.taken("ended") == [(at + 1, {"pair": 0, "outcome": outcome, "rejected": rejected})]
        assert not bench.get("busy") and not bench.taken("event")
    for number in (1, 2, 3, 4):
        # Stopped by its policy, without tries, by a policy that is none; by a row that is not enabled.
        at = await bench.legs(number, 100, 199)
        assert bench.taken("ended") == [(at + 1, {"pair": number, "outcome": PairOutcome.LEGGED, "rejected": 0})]
        [(told_at, event)] = bench.taken("event")
        assert (told_at, event["cycle"], event["pair"], event["action"]) == (at + 2, at + 1, number, LegAction.STOP)
    await bench.step(50)
    assert not bench.get("busy") and not bench.taken("request")


@cocotb.test()
async def a_pair_is_completed(dut):
    """Leg a first, then leg b, in as many orders as it takes; the pair ends as if its own orders had been filled."""
    bench = Bench(dut)
    for cooldown in (0, 1, 2, 3, 40):
        await bench.start(cooldown=cooldown)
        await bench.rows(p2=ROW)
        rejected = cooldown & 1
        at = await bench.legs(2, 60, 0, rejected=rejected)
        assert not bench.taken("ended") and bench.get("busy")
        asked_at, _ = await bench.asked(2)
        assert asked_at - at == max(LATENCY + cooldown, LEAST)
        at = await bench.report(2, 0, 40, ends=True, side=SELL)
        asked_at, _ = await bench.asked(2)
        assert asked_at - at == max(LATENCY + cooldown, LEAST)
        await bench.report(2, 1, 50, side=BUY)
        assert not bench.taken("request")
        at = await bench.report(2, 1, 150, ends=True, side=BUY)
        await bench.step(20 + cooldown)
        [(ended_at, ended)] = bench.taken("ended")
        assert ended == {"pair": 2, "outcome": PairOutcome.FILLED, "rejected": rejected}
        assert ended_at - at == max(LATENCY + cooldown, LEAST) - 4
        assert not bench.get("busy") and not bench.taken("event") and not bench.taken("request")


@cocotb.test()
async def a_pair_is_unwound(dut):
    bench = Bench(dut)
    await bench.start(cooldown=10)
    await bench.rows(p1=ROW | {"policy": LegPolicy.UNWIND})
    for side in (SELL, BUY):
        await bench.legs(1, 7, 200, side=side, rejected=side)
        bench.pairs[1].row["policy"] = LegPolicy.UNWIND
        _, request = await bench.asked(1)
        assert (request["leg"], request["legs"][0]["side"], request["legs"][0]["quantity"]) == (0, 1 - side, 7)
        await bench.report(1, 0, 7, ends=True, side=1 - side)
        _, request = await bench.asked(1)
        assert (request["leg"], request["legs"][0]["side"], request["legs"][0]["quantity"]) == (1, side, 200)
        await bench.report(1, 1, 120, side=side)
        await bench.report(1, 1, ends=True, side=side)
        _, request = await bench.asked(1)
        assert request["legs"][0]["quantity"] == 80
        await bench.report(1, 1, 80, ends=True, side=side)
        await bench.step(40)
        assert [ended for _, ended in bench.taken("ended")] == [{"pair": 1, "outcome": PairOutcome.NOTHING, "rejected": side}]


@cocotb.test()
async def tries_are_bounded(dut):
    """Refused, filled in part, not filled: each is a try, and with the last one the pair stops and says so."""
    bench = Bench(dut)
    await bench.start(cooldown=30)
    for tries in (1, 3, 15):
        await bench.rows(p0=ROW | {"leg_tries": tries})
        await bench.legs(0, 50, 200, rejected=1)
        bench.pairs[0].row["leg_tries"] = tries
        last = 0
        for number in range(tries):
            bench.leaves = number % 2 == 1
            asked_at, _ = await bench.asked(0)
            assert asked_at - last > 30
            if bench.leaves:
                last = await bench.report(0, 0, 1, ends=True, side=SELL)
            else:
                last = asked_at + VERDICT
        await bench.step(60)
        assert not bench.taken("request") and not bench.get("busy")
        [(ended_at, ended)] = bench.taken("ended")
        assert ended == {"pair": 0, "outcome": PairOutcome.LEGGED, "rejected": 1}
        [(told_at, event)] = bench.taken("event")
        assert (told_at, event["cycle"], event["action"]) == (ended_at + 1, ended_at, LegAction.STOP)


@cocotb.test()
async def a_broken_trade_stops_the_pair(dut):
    """Nobody knows what is held: nothing is sold that may not be there, and no unit is said to be."""
    bench = Bench(dut)
    for policy in (LegPolicy.COMPLETE, LegPolicy.UNWIND):
        for filled in ((100, 30), (100, 200), (0, 0)):
            for late in (False, True):
                await bench.start(cooldown=20)
                await bench.rows(p0=ROW | {"policy": policy})
                pair = await bench.trade(0)
                broken = {"pair": 0, "leg": 0, "slot": 0, "side": SELL, "back": 1}
                if not late:
                    bench.offer("leg_told", broken)
                    await bench.step(5)
                for leg in range(2):
                    pair.orders += 1
                    await bench.report(0, leg, filled[leg], ends=True)
                bench.taken("ended")
                # The ledger knows that one was broken, and so says LEGGED.
                bench.offer("done", {"pair": 0, "outcome": int(PairOutcome.LEGGED)})
                await bench.step(5)
                if late:
                    bench.offer("leg_told", broken)
                await bench.step(80)
                assert not bench.taken("request") and not bench.get("busy")
                assert [ended["outcome"] for _, ended in bench.taken("ended")] == [PairOutcome.LEGGED]
                assert [event["action"] for _, event in bench.taken("event")] == [LegAction.STOP]


@cocotb.test()
async def no_order_of_the_last_set_is_offered_under_the_next(dut):
    """Sets that change in any clock since a pair was looked at: its order is made anew."""
    bench = Bench(dut)
    for before in range(1, 12):
        await bench.start(cooldown=20)
        await bench.rows(p0=ROW)
        at = await bench.legs(0, 100, 30)
        offered = at + LATENCY + 20
        await bench.step(offered - before - bench.cycle)
        bench.set("hold", 1)
        await bench.step()
        bench.set("hold", 0)
        await bench.step(40)
        [(asked_at, _), *_] = bench.taken("request")
        # The last one that counts is that of two clocks before the row is asked for.
        assert (asked_at == offered) == (before == 11), (before, asked_at - offered)


@cocotb.test()
async def a_request_that_finds_no_room_is_made_anew(dut):
    """With the touch as it is then; it is no try. Nor is anything queued."""
    bench = Bench(dut)
    await bench.start()
    await bench.rows(p0=ROW | {"leg_tries": 1})
    bench.ready = False
    await bench.legs(0, 99, 200)
    bench.pairs[0].row["leg_tries"] = 1
    await bench.step(30)
    requests = bench.taken("request")
    assert [later - at for (at, _), (later, _) in zip(requests, requests[1:], strict=False)] == [10] * (len(requests) - 1)
    assert len(requests) >= 2
    await bench.touch(0, 1_230_000, 1_230_100)
    await bench.step(10)
    assert bench.taken("request")[-1][1]["legs"][0]["price"] == 1_230_000 - 200
    bench.ready = True
    assert not bench.taken("event")
    await bench.asked(0)


@cocotb.test()
async def every_touch_of_the_last_clocks_counts(dut):
    """Changed in any clock around a request: it is as of `LOOK` clocks before."""
    bench = Bench(dut)
    for early in range(1, 14):
        await bench.start(cooldown=20)
        await bench.rows(p0=ROW)
        at = await bench.legs(0, 99, 200)
        await bench.step(at + LATENCY + 20 - early - bench.cycle)
        await bench.touch(0, 1_110_000, 1_110_100)
        await bench.step(early + 2)
        [(asked_at, request)] = bench.taken("request")
        assert asked_at == at + LATENCY + 20
        assert request["legs"][0]["price"] == (1_110_000 if early > LegRepair.LOOK else 1_000_000) - 200, early


@cocotb.test()
async def another_set_counts_from_the_next_look_on(dut):
    """Policy, tries, slippage of the set in force when an order is offered; what is held is counted on."""
    bench = Bench(dut)
    await bench.start(cooldown=100)
    await bench.rows(p0=ROW)
    await bench.legs(0, 60, 200)
    await bench.asked(0, clocks=150)
    await bench.report(0, 0, 10, ends=True, side=SELL)
    row = ROW | {"policy": LegPolicy.UNWIND, "slippage": 7}
    await bench.rows(p0=row)
    bench.pairs[0].row = row
    _, request = await bench.asked(0, clocks=150)
    assert request["legs"][0]["quantity"] == 70 and request["legs"][0]["side"] == BUY
    await bench.report(0, 0, 70, ends=True, side=BUY)
    await bench.rows(p0=ROW | {"policy": LegPolicy.STOP})
    await bench.step(150)
    assert [ended["outcome"] for _, ended in bench.taken("ended")] == [PairOutcome.LEGGED]
    # A change that comes while one is about to be asked for: never a row of one set under another.
    for early in range(25):
        await bench.start(cooldown=100)
        await bench.rows(p0=ROW)
        at = await bench.legs(0, 60, 200)
        bench.offer("pairs", {"index": 0, "row": ROW | {"slippage": 9, "policy": int(LegPolicy.COMPLETE)}})
        await bench.step(at + LATENCY + 100 - early - bench.cycle)
        bench.set("hold", 1)
        # As TradingCore does.
        bench.ready = False
        await bench.step(8)
        bench.bank ^= 1
        bench.set("bank", bench.bank)
        bench.set("hold", 0)
        await bench.step()
        bench.ready = True
        swapped = bench.cycle
        await bench.step(30)
        offered = [(cycle, request["legs"][0]["price"]) for cycle, request in bench.taken("request")]
        assert all(price == 1_000_000 - (900 if cycle >= swapped else 200) for cycle, price in offered), (early, offered)


@cocotb.test()
async def limits_are_the_triggers(dut):
    bench = Bench(dut)
    await bench.start()
    prices = (1, 2, 150, 151, 9_850, 9_999, 10_000, 10_100, 1_999_985_000, 1_999_999_900, 2_000_100_000, 0)
    for slippage in (0, 1, 150, 255):
        for policy in (LegPolicy.COMPLETE, LegPolicy.UNWIND):
            row = ROW | {"policy": policy, "slippage": slippage, "leg_tries": 1}
            await bench.rows(p0=row)
            for price in prices:
                await bench.touch(0, price, price)
                await bench.legs(0, 60, 200, side=random.randrange(2))
                bench.pairs[0].row = row
                if policy == LegPolicy.UNWIND:
                    bench.pairs[0].legs[1].size = 200
                bench.leaves = False
                await bench.asked(0)
                await bench.step(40)
                bench.taken("ended"), bench.taken("event")


@cocotb.test()
async def pairs_wait_for_each_other(dut):
    """All pairs at once, a busy gate, any order of fills: each one gets what the statement says, and its tries."""
    bench = Bench(dut)
    bench.luck = rng = random.Random(5)
    for _ in range(30):
        await bench.start(cooldown=rng.choice((0, 5, 60)))
        rows = {
            number: ROW | {"policy": rng.choice((LegPolicy.COMPLETE, LegPolicy.UNWIND)), "leg_tries": rng.choice((1, 2, 5))}
            for number in range(GEOMETRY.pairs)
        }
        await bench.rows(**{f"p{number}": row for number, row in rows.items()})
        ends: dict[int, int] = {}
        bench.left = {}
        bench.ready = False
        for number in rng.sample(range(GEOMETRY.pairs), GEOMETRY.pairs):
            await bench.legs(number, *rng.choice(((0, 1), (100, 0), (99, 199), (100, 200), (0, 0))), side=rng.randrange(2))
            bench.pairs[number].row = rows[number]
        waits: dict[int, tuple[int, int]] = {}
        bench.taken("request")
        for _ in range(20_000):
            bench.ready = rng.random() < 0.9
            await bench.step()
            for at, event in bench.taken("event"):
                pair = bench.pairs[event["pair"]]
                if event["action"] == LegAction.STOP:
                    assert pair.wants() is None and pair.outcome() is PairOutcome.LEGGED
                    continue
                asked_at, request = at - 1, dict(bench.seen["request"])[at - 1]
                wanted = pair.wants()
                assert wanted is not None and event["pair"] not in waits
                action, leg, side, quantity = wanted
                order = request["legs"][0]
                assert (event["action"], request["leg"], order["side"], order["quantity"]) == (action, leg, side, quantity)
                pair.tries += 1
                await bench.step(max(0, asked_at + VERDICT + 1 - bench.cycle))
                if bench.left[asked_at]:
                    waits[event["pair"]] = leg, side
            if waits and rng.random() < 0.05:
                number = rng.choice(list(waits))
                leg, side = waits[number]
                one = bench.pairs[number].legs[leg]
                rest = one.size - one.held if side == one.side else one.held
                filled = rng.choice((0, rest, rng.randint(0, rest)))
                if filled and rng.random() < 0.3:
                    await bench.report(number, leg, filled, side=side)
                    filled = 0
                await bench.report(number, leg, filled, ends=True, side=side)
                del waits[number]
            if not bench.get("busy"):
                break
        for _, ended in bench.taken("ended"):
            assert ended["pair"] not in ends
            ends[ended["pair"]] = ended["outcome"]
        assert not waits and ends == {number: pair.outcome() for number, pair in bench.pairs.items()}


@cocotb.test()
async def a_stop_is_told_after_what_the_trigger_tells(dut):
    bench = Bench(dut)
    await bench.start()
    for told in range(6):
        await bench.rows()
        await bench.trade(0)
        at = bench.cycle
        bench.offer("done", {"pair": 0, "outcome": int(PairOutcome.LEGGED)})
        for clock in range(8):
            bench.set("told", int(clock == told))
            await bench.step()
        [(told_at, event)] = bench.taken("event")
        assert event["action"] == LegAction.STOP and event["cycle"] == at + 1
        assert told_at == at + (3 if told == 2 else 2), told
