"""Days with a break: a new card goes on from what the old one held, and a new host from what the card holds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hdl.spec import ouch, soupbintcp
from hdl.spec.reasons import Mode, TradingState
from host import snapshot
from host.card import CardError
from host.exposure import SUMS, Exposure, read_sums
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.mirror import Mirror
from sim.card import SimulatedCard
from tests.support.desk import DOLLAR, Desk
from tests.system.test_switches import exchange, fill, trigger

MORNING = (
    ("AAA", 100, 101.00, ((60, 100.10), (40, 100.20))),
    ("AAA", -30, 99.90, ((30, 100.05),)),
    ("BBB", -80, 49.90, ((80, 50.01),)),
    ("AAA", 20, 101.00, ((20, 100.40),)),
    ("BBB", 200, 50.10, ((50, 50.02), (150, 50.03))),
)
AFTERNOON = (
    ("AAA", 10, 101.00, ((10, 100.50),)),
    ("AAA", -150, 99.90, ((100, 100.00), (50, 99.95))),
    ("BBB", -120, 49.90, ((120, 49.99),)),
    ("BBB", 7, 50.10, ((7, 50.05),)),
)
CLOCKS = 14 * 16 + 50
"""In which every slot is counted anew."""


class Trader:
    """Orders by hand, filled as given, with the host's own fold beside."""

    def __init__(self, desk: Desk, *, number: int = 1, start: snapshot.Snapshot | None = None) -> None:
        self.desk, self.far, self.number = desk, exchange(desk), number
        self.mirror = Mirror(desk.configuration, desk.loader.slots, start=start)
        desk.touch()

    def trade(self, orders: tuple) -> None:
        for symbol, shares, usd, fills in orders:
            self.desk.loader.order(symbol, shares, round(usd * DOLLAR))
            self.desk.card.run(1_000)
            assert len(self.desk.card.frames()) == 1
            for quantity, price in fills:
                fill(self.desk.card, self.far, self.number, quantity, round(price * DOLLAR))
            self.number += 1
        self.desk.card.run(CLOCKS)
        for record in self.desk.card.events():
            self.mirror.take(record)

    @property
    def marks(self) -> dict[str, int]:
        return {symbol: self.mirror.exposure.lines[slot].mark for symbol, slot in self.desk.loader.slots.items()}

    def taken(self) -> snapshot.Snapshot:
        """What the card holds, which is what the host's fold says."""
        found = self.desk.loader.snapshot(self.marks)
        for each in found.slots:
            line = self.mirror.exposure.lines[self.desk.loader.slots[each.symbol]]
            assert (each.position, each.cash, each.entry_shares, each.entry_notional) == (
                line.shares, line.cash, line.entry_shares, line.entry_notional,
            )  # fmt: skip
        assert {name: getattr(found, name) for name in SUMS} == self.mirror.exposure.sums()
        assert not found.orders and found.next_user_ref_num == self.number
        return found


def test_two_half_days_make_a_whole_one(card: SimulatedCard, tmp_path: Path) -> None:
    whole = Trader(Desk(card))
    whole.trade(MORNING)
    noon = whole.taken()
    # 60 at 100.10, 40 at 100.20, 20 at 100.40; what was sold changes nothing.
    assert noon.slots[0].average_usd == pytest.approx((60 * 100.10 + 40 * 100.20 + 20 * 100.40) / 120)
    # 80 were sold and bought back, the part beyond at the last price.
    assert (noon.slots[1].position, noon.slots[1].average_usd) == (120, 50.03)
    snapshot.save(noon, tmp_path / "noon.json")
    whole.trade(AFTERNOON)
    evening = whole.taken()

    with SimulatedCard(card.geometry) as fresh:
        desk = Desk(fresh)
        desk.loader.disarm()
        fold = Exposure()
        noon = snapshot.load(tmp_path / "noon.json")
        fold.begin(noon, desk.loader.slots)
        desk.loader.reload(noon)
        fresh.run(CLOCKS)
        # At once, at the marks of noon.
        assert read_sums(fresh) == fold.sums() == {name: getattr(noon, name) for name in SUMS}
        with pytest.raises(CardError, match="next_user_ref_num: 1 was given, allowed is 6 or higher"):
            desk.loader.load(desk.configuration, Feed(), OrderSession())
        desk.loader.arm(Mode.LIVE)
        again = Trader(desk, number=noon.next_user_ref_num, start=noon)
        again.trade(AFTERNOON)
        assert again.taken() == evening


def test_a_ledger_is_reloaded_only_at_rest(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    row = {"position": 5, "price": 1, "cash": 2, "entry_notional": 3, "entry_shares": 5, "shorts": 6}

    def refused() -> int:
        before = desk.loader._count("structure_refused")
        card.write_row("risk", "reload", 0, **row)
        return desk.loader._count("structure_refused") - before

    assert refused() == 1
    card.write("risk", "trading_state", TradingState.REDUCE_ONLY)
    assert refused() == 1
    card.write("risk", "trading_state", TradingState.ACTIVE)
    desk.loader.order("BBB", 10, 501_000)
    card.run(500)
    card.write("risk", "trading_state", TradingState.HALTED)
    assert refused() == 1
    assert desk.loader.ledger("AAA")["position"] == 0
    noon = desk.loader.snapshot()
    assert [(each.user_ref_num, each.side, each.open_shares, each.state) for each in noon.orders] == [(1, "buy", 10, "sent")]
    with pytest.raises(CardError, match=r"orders were open: 1 \(buy 10 BBB\)"):
        desk.loader.reload(noon)
    fill(card, exchange(desk), 1, 10, 500_200)
    assert refused() == 0
    assert desk.loader.ledger("AAA") | row == desk.loader.ledger("AAA") | {"price": 1}
    assert desk.loader.ledger("BBB")["entry_notional"] == 5_002_000


def test_a_new_host_takes_over_a_card_that_trades(card: SimulatedCard) -> None:
    """Between the orders of a pair and their fills."""
    desk = Desk(card)
    desk.touch()
    far = exchange(desk)
    desk.loader.order("AAA", 5, 101 * DOLLAR)
    card.run(1_000)
    fill(card, far, 1, 5, 1_000_700)
    assert trigger(desk) == 2
    fill(card, far, 2, 30, 1_000_600)
    # Nobody reads what the card told until then.
    card.events()

    loader = Loader(card)
    found = loader.adopt(desk.configuration)
    assert [(each.user_ref_num, each.symbol, each.pair, each.open_shares) for each in found.orders] == [
        (2, "AAA", 0, 70),
        (3, "BBB", 0, 200),
    ]
    assert loader.trading_state is TradingState.ACTIVE and found.next_user_ref_num == 4
    mirror = Mirror(desk.configuration, loader.slots, start=found)
    desk.loader = loader
    for number, quantity, price in ((2, 70, 1_000_600), (3, 200, 500_200)):
        fill(card, far, number, quantity, price)
    # The pair is one unit short, and bought back at its exit by the new host's card as by the old one's.
    for each in desk.opening():
        desk.send(each)
    card.run(CLOCKS)
    for record in card.events():
        mirror.take(record)
    now = loader.snapshot()
    assert [(each.position, each.cash) for each in now.slots] == [
        (mirror.holdings[slot].shares, mirror.holdings[slot].cash) for slot in loader.slots.values()
    ]
    assert [(each.entry_shares, each.entry_notional) for each in now.slots] == [
        (mirror.exposure.lines[slot].entry_shares, mirror.exposure.lines[slot].entry_notional) for slot in loader.slots.values()
    ]
    assert now.slots[0].position == -95 and now.slots[1].position == 200
    assert mirror.exposure.sums() == read_sums(card)
    assert sum(card.read_rows("status", "alarm").values()) == 0
    with pytest.raises(CardError, match="allowed is 4 or higher"):
        loader.load(desk.configuration, Feed(), OrderSession())


def test_what_is_read_while_reports_come_is_of_one_moment(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    desk.loader.order("AAA", 1_000, 101 * DOLLAR)
    card.run(1_000)
    far, source = exchange(desk), random.Random(2)
    at, seen = card.cycle + 500, set()
    for number in range(60):
        message = ouch.ORDER_EXECUTED.pack(
            timestamp=1, user_ref_num=1, quantity=1, price=1_000_000, liquidity_flag="R", match_number=number
        ) + ouch.APPENDAGE.pack(appendage_length=0)
        header = soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type=soupbintcp.SEQUENCED_DATA)
        card.send(far.send(header + message), at=at)
        at += source.randrange(200, 9_000)
    while card.cycle < at:
        found = desk.loader.snapshot()
        (own, _), (order,) = found.slots, found.orders
        assert own.cash == -own.position * 1_000_000 == -own.entry_notional
        assert own.entry_shares == own.position == 1_000 - order.open_shares
        assert own.open_buys == order.open_shares and own.orders == 1
        seen.add(own.position)
    assert len(seen) > 20 and desk.loader.snapshot().slots[0].position == 60
