"""What the exchange says about trading: hours, breakers, halts, short-sale restrictions."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.flags import one_hot
from hdl.spec import itch
from hdl.spec.geometry import Geometry


class MarketStatus(wiring.Component):
    """Follows the status messages of the feed, slot by slot.

    A slot trades once an H message said so (state T), until one says otherwise, and while its market has no operational halt (h).
    The market is open from the system event of market hours (Q) to the next system event of any kind. A breached breaker (W)
    closes it until the next day's first message (system event O): a halt of a lower level ends earlier, but waiting is the safe
    side. A short sale restriction (Y) holds until the feed lifts it; a slot of which nothing was said has none.

    A status message that is malformed counts as the one that forbids most: the stock does not trade (H), has an operational halt
    (h) or a restriction (Y), the market is closed (S) or a breaker is on (W), until the feed says otherwise.

    An answer is valid one clock after its message. Nothing can wait here, nothing is lost.

    Source: TotalView-ITCH 5.0, messages S, H, h, Y, W.

    Parameters
    ----------
    geometry : Geometry
        Decides the number of slots.

    Members
    -------
    decoded : In(stream.Signature(interfaces.decoded(geometry), always_ready=True))
        Every message of the feed.
    clear : In(1)
        Forget what was told of slots, as after a reset: what comes may be of other stocks. Hours and breaker stay.
    stale_after : In(32)
        Clocks without any message until the feed is stale, 0: never.
    ignore_market_hours : In(1)
        The market counts as open whatever the system events say (replays that begin mid-day). Breakers still close it.
    assume_trading : In(1)
        A slot of which no H was ever received counts as trading (replays without the spin before the session). To be tied to
        `ignore_market_hours`. Once an H was received, it rules.
    halted : Out(geometry.slots)
        One bit a slot: it must not trade.
    restricted : Out(geometry.slots)
        One bit a slot: no short sales.
    market_open : Out(1)
        Market hours, and no breaker.
    stale : Out(1)
        The last message came `stale_after` clocks ago or more, two clocks late; high after reset until one comes.
    """

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        super().__init__(
            {
                "decoded": In(stream.Signature(interfaces.decoded(geometry), always_ready=True)),
                "clear": In(1),
                "stale_after": In(32),
                "ignore_market_hours": In(1),
                "assume_trading": In(1),
                "halted": Out(geometry.slots),
                "restricted": Out(geometry.slots),
                "market_open": Out(1),
                "stale": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        slots = self._geometry.slots
        told, trades, operational_halt = Signal(slots), Signal(slots), Signal(slots)
        hours, breaker = Signal(), Signal()
        message = self.decoded.payload

        slot = one_hot(m, message.slot, slots, self.decoded.valid & message.watched)

        def mark(bits: Signal, value) -> None:
            m.d.sync += bits.eq(Mux(value, bits | slot, bits & ~slot))

        def is_type(layout) -> object:
            return message.type == ord(layout.code)

        with m.If(is_type(itch.STOCK_TRADING_ACTION)):
            mark(told, 1)
            mark(trades, (message.code == ord(itch.TRADING_STATE_TRADING)) & ~message.malformed)
        with m.If(is_type(itch.OPERATIONAL_HALT) & ((message.market == ord(itch.MARKET_NASDAQ)) | message.malformed)):
            mark(operational_halt, (message.code != ord(itch.HALT_ACTION_RESUMED)) | message.malformed)
        with m.If(is_type(itch.REG_SHO_SHORT_SALE_PRICE_TEST)):
            mark(self.restricted, (message.code != ord(itch.REG_SHO_NONE)) | message.malformed)
        with m.If(self.clear):
            m.d.sync += [bits.eq(0) for bits in (told, trades, operational_halt, self.restricted)]
        with m.If(self.decoded.valid):
            with m.If(is_type(itch.SYSTEM_EVENT)):
                m.d.sync += hours.eq((message.code == ord(itch.MARKET_HOURS_BEGIN)) & ~message.malformed)
                with m.If((message.code == ord(itch.MESSAGES_BEGIN)) & ~message.malformed):
                    m.d.sync += breaker.eq(0)
            with m.If(is_type(itch.MWCB_STATUS)):
                m.d.sync += breaker.eq(1)

        silent = Signal(32, init=-1)
        with m.If(self.decoded.valid):
            m.d.sync += silent.eq(1)
        with m.Elif(~silent.all()):
            m.d.sync += silent.eq(silent + 1)
        m.d.sync += self.stale.eq((silent >= self.stale_after) & (self.stale_after != 0))

        m.d.comb += [
            self.halted.eq(~(trades | (~told & self.assume_trading.replicate(slots))) | operational_halt),
            self.market_open.eq((hours | self.ignore_market_hours) & ~breaker),
        ]
        return m
