"""`MarketStatus`: what the feed says about trading, as inputs of the trading twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hdl.spec import itch
from hdl.spec.layout import Layout
from sim.twin.trade.state import IN_HALTED, IN_RESTRICTED, IN_SETTING, MARKET_OPEN

Input = tuple[int, ...]
_Values = Mapping[str, int | str | bytes]
_OF_SLOTS = (itch.STOCK_TRADING_ACTION, itch.OPERATIONAL_HALT, itch.REG_SHO_SHORT_SALE_PRICE_TEST)


class MarketStatus:
    """Hours, breakers, halts and short-sale restrictions of a day.

    Parameters
    ----------
    slots : int
        Slots of the card.
    ignore_market_hours : bool
        The market counts as open, and a slot of which no H was received as trading, whatever the feed has not said.
    """

    def __init__(self, slots: int, *, ignore_market_hours: bool) -> None:
        self._ignore = ignore_market_hours
        self._trades: list[bool | None] = [None] * slots
        self._halted_here = [False] * slots
        self._hours = self._breaker = False

    def begin(self) -> Iterator[Input]:
        """What holds before the first message."""
        yield self._market(0)
        for slot in range(len(self._trades)):
            yield self._halted(slot, 0)

    def see(self, message: bytes, slot: int | None, clock: int) -> Iterator[Input]:
        """What a message changes that was decoded in a clock, about a slot or none. Where its length is not its type's, it has no
        values, and none is what lets trade."""
        layout = itch.MESSAGES.get(chr(message[0]))
        if layout is None:
            return
        values = layout.unpack(message) if layout.size == len(message) else {}
        if layout in (itch.SYSTEM_EVENT, itch.MWCB_STATUS):
            yield from self._of_market(layout, values, clock)
        elif slot is not None and layout in _OF_SLOTS:
            yield from self._of_slot(layout, values, slot, clock)

    def _of_market(self, layout: Layout, values: _Values, clock: int) -> Iterator[Input]:
        if layout is itch.MWCB_STATUS:
            self._breaker = True
        else:
            code = values.get("event_code")
            self._hours = code == itch.MARKET_HOURS_BEGIN
            self._breaker &= code != itch.MESSAGES_BEGIN
        yield self._market(clock)

    def _of_slot(self, layout: Layout, values: _Values, slot: int, clock: int) -> Iterator[Input]:
        if layout is itch.REG_SHO_SHORT_SALE_PRICE_TEST:
            yield (IN_RESTRICTED, clock, slot, int(values.get("reg_sho_action") != itch.REG_SHO_NONE))
            return
        if layout is itch.STOCK_TRADING_ACTION:
            self._trades[slot] = values.get("trading_state") == itch.TRADING_STATE_TRADING
        elif values.get("market_code", itch.MARKET_NASDAQ) == itch.MARKET_NASDAQ:
            self._halted_here[slot] = values.get("halt_action") != itch.HALT_ACTION_RESUMED
        yield self._halted(slot, clock)

    def _market(self, clock: int) -> Input:
        return (IN_SETTING, clock, MARKET_OPEN, int((self._hours or self._ignore) and not self._breaker))

    def _halted(self, slot: int, clock: int) -> Input:
        trades = self._trades[slot]
        return (IN_HALTED, clock, slot, int(not (self._ignore if trades is None else trades) or self._halted_here[slot]))
