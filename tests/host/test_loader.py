from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from hdl.spec.reasons import Mode, TradingState
from host import config
from host.card import CardError
from host.framing import Feed
from host.loader import Loader, OrderSession
from tests.host.fake_card import SMALL, FakeCard

TEXT = """
slots = [{symbol = "AAPL", locate = 13}, {symbol = "MSFT"}, {symbol = "IBM"}]
[[pairs]]
leg_a = "MSFT"
leg_b = "AAPL"
weight_a = 1
weight_b = 1
upper_usd = 1
lower_usd = -1
exit_short_usd = 0
exit_long_usd = 0
size_a_shares = 100
size_b_shares = 100
[[pairs]]
leg_a = "AAPL"
leg_b = "IBM"
weight_a = 1
weight_b = 1
upper_usd = 1
lower_usd = -1
exit_short_usd = 0
exit_long_usd = 0
size_a_shares = 100
size_b_shares = 100
"""


@pytest.fixture
def configuration(tmp_path: Path) -> config.Configuration:
    file = tmp_path / "pairs.toml"
    file.write_text(TEXT)
    return config.load([file], SMALL)


def test_tables_hold_what_was_configured(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.identify()
    loader.load(configuration, Feed(), OrderSession())
    assert card.rows["feed", "bindings", 0] == {"locate": 13, "valid": 1}
    assert all(card.rows["feed", "bindings", slot]["valid"] == 0 for slot in (1, 2, 3))
    assert card.rows["session", "symbols", 0] == {"symbol": int.from_bytes(b"AAPL    ", "big")}
    assert card.rows["strategy", "pair_legs", 0] == {"slot_a": 1, "slot_b": 0}
    assert [card.rows["strategy", "pairs", pair]["enabled"] for pair in range(4)] == [1, 1, 0, 0]
    assert [card.rows["risk", "limits", slot]["enabled"] for slot in range(4)] == [1, 1, 1, 0]
    entries = [card.rows["strategy", "pair_index", row]["pair"] for row in range(4)]
    runs = [card.rows["strategy", "pair_lists", slot] for slot in range(4)]
    assert [sorted(entries[run["first"] : run["first"] + run["count"]]) for run in runs] == [[0, 1], [0], [1], []]
    assert card.registers["feed", "session"] == int.from_bytes(b"T2TREPLAY1", "big")


def test_statistics_are_read_when_they_are_there() -> None:
    card = FakeCard()
    card.registers |= {("strategy", "inspect_variance"): 49, ("strategy", "inspect_samples"): 3}
    for raw, mean in ((5 << 60, 5 << 60), ((1 << 68) - 3, -3)):
        card.registers["strategy", "inspect_mean"] = raw
        found = Loader(card).statistics(2)
        assert (found.mean, found.variance, found.samples) == (mean, 49, 3)
        assert card.log[-1] == ("write", "strategy", "inspect", 2)


def test_statistics_that_do_not_come_are_an_error() -> None:
    with pytest.raises(CardError, match="did not tell the statistics of pair 2"):
        Loader(FakeCard(stuck=("inspect",))).statistics(2)


def test_the_card_is_disarmed_first_and_armed_last(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.load(configuration, Feed(), OrderSession())
    loader.arm(Mode.LIVE)
    writes = [entry[1:] for entry in card.log if entry[0] == "write"]
    assert writes[0] == ("risk", "trading_state", TradingState.HALTED)
    assert writes[-1] == ("risk", "trading_state", TradingState.ACTIVE)
    order = [entry[:3] for entry in card.log]
    exact = order.index(("pulse", "book", "declare_exact"))
    assert order.index(("row", "feed", "bindings")) < order.index(("pulse", "book", "clear")) < exact
    armed = [index for index, entry in enumerate(card.log) if entry[1:] in (("risk", "mode", Mode.LIVE), ("session", "up", 1))]
    assert min(armed) > exact


def test_off_and_shadow_open_no_session() -> None:
    for mode, state in ((Mode.OFF, TradingState.HALTED), (Mode.SHADOW, TradingState.ACTIVE)):
        card = FakeCard()
        loader = Loader(card)
        loader.load(config.Configuration(), Feed(), OrderSession())
        loader.arm(mode)
        assert card.registers["session", "up"] == 0
        assert card.registers["risk", "trading_state"] == state


@pytest.mark.parametrize("name", ["magic", "map_digest", "slots", "order_capacity"])
def test_another_card_is_refused(name: str) -> None:
    card = FakeCard()
    card.registers["identity", name] += 1
    with pytest.raises(CardError, match=f"not the one this host was built for: {name} is"):
        Loader(card).identify()


def test_a_register_that_does_not_take_is_an_error() -> None:
    with pytest.raises(CardError, match=r"risk\.mode was set to 0x2 and reads 0x0"):
        Loader(FakeCard(stuck=("mode",))).arm(Mode.LIVE)


def test_a_book_that_never_clears_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.loader._CLEAR_POLLS", 10)
    card = FakeCard()
    card.busy_reads = 1000
    with pytest.raises(CardError, match="did not become ready"):
        Loader(card).load(config.Configuration(), Feed(), OrderSession())


CEILINGS = config.Ceilings(
    max_quantity_shares=1_000,
    max_notional_usd=Decimal(500_000),
    max_long_shares=10_000,
    max_short_shares=10_000,
    collar_usd=Decimal(10),
    collar_bps=300,
    max_gross_usd=config.Risk().max_gross_usd,
    max_net_usd=config.Risk().max_net_usd,
    max_loss_usd=config.Risk().max_loss_usd,
    max_open_orders=65_535,
    rate_tokens=100,
)


def test_ceilings_come_before_limits_and_once(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    for _ in range(2):
        loader.load(replace(configuration, ceilings=CEILINGS), Feed(), OrderSession())
    order = [entry[:3] for entry in card.log]
    assert order.count(("row", "risk", "ceilings")) == 1
    assert order.index(("row", "risk", "ceilings")) < order.index(("row", "risk", "limits"))
    assert card.rows["risk", "ceilings", 0]["max_notional"] == 5_000_000_000


def test_ceilings_that_cannot_be_loaded_any_more_are_an_error(configuration: config.Configuration) -> None:
    card = FakeCard()
    first = replace(configuration, ceilings=CEILINGS)
    Loader(card).load(first, Feed(), OrderSession())
    with pytest.raises(CardError, match="nothing but its reset makes room for others"):
        Loader(card).load(first, Feed(), OrderSession())
    # Without ceilings of its own, a host works under those that are there.
    Loader(card).load(configuration, Feed(), OrderSession())


def test_ceilings_that_do_not_lock_are_an_error(configuration: config.Configuration) -> None:
    with pytest.raises(CardError, match="not locked"):
        Loader(FakeCard(stuck=("ceilings",))).load(replace(configuration, ceilings=CEILINGS), Feed(), OrderSession())


def test_a_row_of_limits_the_card_refuses_is_an_error_that_names_the_symbol(configuration: config.Configuration) -> None:
    card = FakeCard()
    limits = dict(configuration.limits) | {"IBM": config.Limit(symbol="IBM", max_long_shares=10_001)}
    with pytest.raises(CardError, match="refused the limits of IBM: they are above its ceilings"):
        Loader(card).load(replace(configuration, limits=limits, ceilings=CEILINGS), Feed(), OrderSession())
    assert card.registers["risk", "trading_state"] == TradingState.HALTED


def test_a_limit_of_the_whole_card_that_it_refuses_is_an_error(configuration: config.Configuration) -> None:
    card = FakeCard()
    risk = configuration.risk.model_copy(update={"rate_tokens": 101})
    with pytest.raises(CardError, match="did not begin epoch 1, it is at 0: a limit of the whole card is above its ceiling"):
        Loader(card).load(replace(configuration, risk=risk, ceilings=CEILINGS), Feed(), OrderSession())
    assert card.registers["risk", "trading_state"] == TradingState.HALTED


def test_times_and_line_b_arrive_as_the_card_wants_them() -> None:
    card = FakeCard()
    loader = Loader(card)
    risk = config.Risk(watchdog_ms=2, stale_after_ms=Decimal("0.5"))
    feed = Feed(address_b=0xE931C46F, port_b=26_400)
    loader.load(config.Configuration(risk=risk), feed, OrderSession())
    assert loader.watchdog == card.registers["risk", "watchdog"] == 250_000
    assert card.registers["risk", "stale_after"] == 62_500
    assert (card.registers["feed", "address_b"], card.registers["feed", "port_b"]) == feed.lines[1]
    loader.beat()
    assert card.log[-1] == ("pulse", "risk", "heartbeat")
    # While it is loaded anew, nobody counts.
    writes = len(card.log)
    loader.load(config.Configuration(risk=risk), feed, OrderSession())
    assert [entry[3] for entry in card.log[writes:] if entry[:3] == ("write", "risk", "watchdog")] == [0, 250_000]


def test_a_killed_card_takes_the_keys_and_nothing_else() -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.load(config.Configuration(), Feed(), OrderSession())
    loader.arm(Mode.LIVE)
    with pytest.raises(CardError, match="the card is ACTIVE, not KILLED"):
        loader.rearm()
    loader.kill()
    for act in (loader.disarm, lambda: loader.arm(Mode.LIVE)):
        with pytest.raises(CardError, match="the card is KILLED: no order leaves it"):
            act()
    # All the same the mode was taken down; the session stays up for the cancels of what is open.
    assert (card.registers["risk", "mode"], card.registers["session", "up"]) == (Mode.OFF, 1)
    card.registers["risk", "orders_open"] = 2
    with pytest.raises(CardError, match="own orders are open: 2"):
        loader.rearm()
    card.registers["risk", "orders_open"] = 0
    loader.rearm()
    assert loader.trading_state is TradingState.HALTED
    loader.arm(Mode.LIVE)
    assert loader.trading_state is TradingState.ACTIVE


def test_keys_that_do_nothing_are_an_error() -> None:
    loader = Loader(FakeCard(stuck=("rearm",)))
    loader.kill()
    with pytest.raises(CardError, match="did not become HALTED by the keys, it is KILLED"):
        loader.rearm()


def test_a_loss_limit_that_was_reached_holds_until_it_is_rearmed() -> None:
    class Lossy(FakeCard):
        still = True

        def pulse(self, block: str, name: str) -> None:
            super().pulse(block, name)
            if name == "rearm_loss" and not self.still:
                self.registers["risk", "loss_reached"] = 0

    card = Lossy()
    loader = Loader(card)
    with pytest.raises(CardError, match="was not reached"):
        loader.rearm_loss()
    card.registers["risk", "loss_reached"] = 1
    for mode in (Mode.LIVE, Mode.SHADOW):
        with pytest.raises(CardError, match="the loss limit was reached"):
            loader.arm(mode)
    assert card.read("risk", "trading_state") == TradingState.HALTED
    with pytest.raises(CardError, match="still greater"):
        loader.rearm_loss()
    card.still = False
    loader.rearm_loss()
    loader.arm(Mode.LIVE)
    assert card.read("risk", "trading_state") == TradingState.ACTIVE


def test_an_order_is_one_row_or_an_error(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.load_slots(configuration)
    for shares, side in ((-70, 1), (70, 0)):
        loader.order("MSFT", shares, 123_400)
        assert card.rows["risk", "order", 0] == {"slot": 1, "side": side, "quantity": 70, "price": 123_400}
    for order, told in (
        (("CCC", 1, 1), "symbol: CCC was given, allowed are AAPL, MSFT, IBM"),
        (("IBM", 1 << 20, 1), "quantity was 1048576, allowed are 0 to 1048575"),
        (("IBM", 1, -1), "price was -1, allowed are 0 to 4294967295"),
    ):
        with pytest.raises(ValueError, match=told):
            loader.order(*order)
    assert card.rows["risk", "order", 0]["slot"] == 1


def test_reducing_lowers_the_state_and_raises_none(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    for state in TradingState:
        card.registers["risk", "trading_state"] = state
        loader.reduce()
        assert loader.trading_state is max(state, TradingState.REDUCE_ONLY)


def test_a_set_is_staged_checked_and_committed(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.load(configuration, Feed(), OrderSession())
    assert loader.epoch == 1 and card.live["strategy", "pairs", 0]["enabled"] == 1
    pairs = tuple(pair.model_copy(update={"upper_usd": Decimal(2)}) for pair in configuration.pairs)
    risk = config.Risk(max_gross_usd=Decimal(7))
    tuned = replace(configuration, pairs=pairs, risk=risk)
    loader.stage(tuned)
    assert card.live["risk", "max_gross"] != 70_000
    assert loader.commit() == loader.epoch == 2
    assert card.live["risk", "max_gross"] == 70_000
    assert card.live["strategy", "pairs", 1]["upper"] == config.pair_row(pairs[1])["upper"]
    assert loader.push(configuration) == 3
    with pytest.raises(CardError, match=r"more than parameters and limits would change: .*size_a_shares"):
        loader.push(replace(tuned, pairs=tuple(pair.model_copy(update={"size_a_shares": 1}) for pair in pairs)))
    assert loader.epoch == 3
    with pytest.raises(CardError, match="no configuration was loaded"):
        Loader(card).push(configuration)


def test_a_set_that_did_not_arrive_whole_is_not_committed(configuration: config.Configuration) -> None:
    class Noisy(FakeCard):
        noise = ""

        def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
            if self.noise == "bit" and (table, row) == ("pairs", 2):
                columns["weight_a"] ^= 1
            if self.noise != "lost" or (table, row) != ("pairs", 2):
                super().write_row(block, table, row, **columns)

    card = Noisy()
    loader = Loader(card)
    loader.load(configuration, Feed(), OrderSession())
    before = dict(card.live)
    for noise in ("bit", "lost"):
        card.noise = noise
        with pytest.raises(CardError, match="its checksum is 0x"):
            loader.push(configuration)
        assert (loader.epoch, card.live) == (1, before)
    card.noise = ""
    card.stuck = ("max_gross",)
    with pytest.raises(CardError, match=r"risk\.max_gross was set to 0x9c40 and reads"):
        loader.push(replace(configuration, risk=config.Risk(max_gross_usd=Decimal(4))))
    assert (loader.epoch, card.live) == (1, before)


def test_a_commit_that_is_refused_says_why(configuration: config.Configuration) -> None:
    card = FakeCard()
    loader = Loader(card)
    loader.load(configuration, Feed(), OrderSession())
    with pytest.raises(CardError, match="nothing was staged whole"):
        loader.commit()
    loader.stage(configuration)
    # Somebody else begins a set.
    card.write_row("risk", "limits", 0, **dict.fromkeys(card.rows["risk", "limits", 0], 0))
    with pytest.raises(CardError, match="did not begin epoch 2, it is at 1: a row of the set is missing or was refused"):
        loader.commit()


def test_rows_out_of_turn_are_an_error(configuration: config.Configuration) -> None:
    class Busy(FakeCard):
        def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
            super().write_row(block, table, row, **columns)
            if (table, row) == ("pairs", 1):
                self.registers["status", "rows_out_of_turn"] = 1

    with pytest.raises(CardError, match="took 1 rows of the set for rows out of turn"):
        Loader(Busy()).load(configuration, Feed(), OrderSession())


def test_who_comes_late_has_the_card_hear_nothing_and_its_books_emptied(configuration: config.Configuration) -> None:
    """Which makes every slot DEAD; none is declared EXACT."""
    card = FakeCard()
    Loader(card).load(configuration, Feed(), OrderSession(), late=True)
    cleared = card.log.index(("pulse", "book", "clear"))
    heard = [entry for entry in card.log if entry[:3] == ("write", "feed", "address")]
    assert heard == [("write", "feed", "address", 0)] and card.log.index(heard[0]) < cleared
    assert ("pulse", "book", "declare_exact") not in card.log


def test_no_line_is_heard_before_all_is_bound_and_declared(configuration: config.Configuration) -> None:
    """What comes while the host loads is missing then: a declaration behind it would make half a book EXACT."""
    card = FakeCard()
    Loader(card).load(configuration, Feed(), OrderSession())
    opened = [at for at, entry in enumerate(card.log) if entry[:3] == ("write", "feed", "address") and entry[3]]
    assert len(opened) == 1
    last = max(at for at, entry in enumerate(card.log) if entry[0] == "row" or entry[:2] == ("pulse", "book"))
    assert opened[0] > last and card.log[last] == ("pulse", "book", "declare_exact")
