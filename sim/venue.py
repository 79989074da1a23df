"""A small exchange for our orders: OUCH 5.0 over SoupBinTCP over TCP, answered in simulated time.

It sees the same market as the card (`Venue.observe`) and fills immediate-or-cancel orders against the shares displayed there when
the order arrives; a cancel comes too late for such an order, and is passed over as OUCH says. Shares we took are gone for our
next order, but the generated market does not react to us: no impact, no queue.
The connection and the session are taken as established; nothing is retransmitted and no heartbeats are sent, since the wire to
the simulated card loses nothing. Whatever does not fit is kept in `Venue.faults`, never passed over.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hdl.spec import itch, ouch, soupbintcp
from hdl.spec.layout import Layout, LayoutError, Value
from hdl.spec.soupbintcp import CLIENT_HEARTBEAT, DEBUG, SEQUENCED_DATA, UNSEQUENCED_DATA
from sim.displayed import DisplayedMarket
from sim.tcp import Connection, Endpoint, SegmentError, SequenceError

_LOCATE = slice(itch.SYSTEM_EVENT.offset("stock_locate"), itch.SYSTEM_EVENT.offset("tracking_number"))
_TIME = slice(itch.SYSTEM_EVENT.offset("timestamp"), itch.SYSTEM_EVENT.offset("timestamp") + 6)
_MOST_SHARES = 999_999
_HIGHEST_PRICE = 1_999_999_900
_DOLLAR, _TICK = 10_000, 100
_IMMEDIATE_OR_CANCEL = "3"
_REMOVED_LIQUIDITY = "R"
_REMAINDER = "I"
_BY_USER = "U"
_FAT_FINGER = 5
"""An order may go through the touch by a fifth of its price."""


class Reject(enum.IntEnum):
    """OUCH 5.0 reject reasons the venue uses."""

    DESTINATION_CLOSED = 0x02
    FAT_FINGER = 0x06
    HALTED = 0x07
    SIDE = 0x09
    OTHER = 0x0F
    QUANTITY = 0x13
    SYMBOL = 0x17
    PRICE = 0x1D
    SHORT_SELL_RESTRICTED = 0x23


@dataclass(frozen=True)
class Fault:
    """Something the venue received and could not use.

    Parameters
    ----------
    cycle : int
        When it came.
    text : str
        What was wrong.
    """

    cycle: int
    text: str


@dataclass
class Resting:
    """An order that is open at the venue.

    Parameters
    ----------
    order : dict
        Its Enter Order.
    left : int
        Shares that are open.
    """

    order: dict[str, Value]
    left: int


@dataclass
class _Stock:
    locate: int
    trading: bool = False
    halted_here: bool = False
    restricted: bool = False


class Venue:
    """The exchange side of one order session.

    Parameters
    ----------
    local, remote : Endpoint
        The venue's end and the client's.
    send_next, receive_next : int
        TCP sequence numbers of the next byte the venue sends and expects.
    latency : int
        Clocks from the end of an order frame to the start of the reply.
    midday : bool
        The feed begins in the middle of a day: the market counts as open, and stocks as trading, until it says otherwise.

    Attributes
    ----------
    counts : Counter
        ``orders``, ``accepted``, ``fills``, ``canceled`` (remainders), ``rejected``, ``heartbeats``, ``cancels`` (that came),
        ``cancels_late`` (of orders that had ended).
    resting : dict of int to Resting
        Orders that are open here, by number; of itself this venue leaves none.
    positions, cash : Counter
        By symbol; shares, and 1/10000 dollar.
    faults : list of Fault
        Bad, duplicate or out-of-order input.
    """

    def __init__(
        self,
        *,
        local: Endpoint,
        remote: Endpoint,
        send_next: int,
        receive_next: int,
        latency: int = 2_500,
        midday: bool = False,
    ) -> None:
        self.latency = latency
        self.counts: Counter[str] = Counter()
        self.positions: Counter[str] = Counter()
        self.cash: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.resting: dict[int, Resting] = {}
        self._connection = Connection(local=local, remote=remote, send_next=send_next, receive_next=receive_next)
        self._market = DisplayedMarket()
        self._stocks: dict[str, _Stock] = {}
        self._known: set[int] = set()
        self._midday = midday
        self._open = midday
        self._time = 0
        self._stream = b""
        self._last_user_ref_num = 0
        self._next_reference = 1 << 32
        self._next_match = 1 << 32
        self._see: dict[str, Callable[[dict[str, Value]], object]] = {
            "R": self._stock,
            "H": self._see_action,
            "h": self._see_operational_halt,
            "Y": self._see_short_sale,
            "S": self._see_event,
            "W": self._see_breaker,
        }

    # The market.

    def observe(self, message: bytes) -> None:
        """See one ITCH message of the market, in feed order. `LayoutError` where its length is not its type's."""
        kind = chr(message[0])
        if kind in itch.MESSAGES and len(message) != itch.MESSAGES[kind].size:
            raise LayoutError(f"message of type {kind!r} has {len(message)} bytes, not {itch.MESSAGES[kind].size}")
        self._time = int.from_bytes(message[_TIME], "big")
        if self._market.apply(message):
            if kind in "AF" and int.from_bytes(message[_LOCATE], "big") not in self._known:
                self._stock(itch.MESSAGES[kind].unpack(message))
            return
        if kind in self._see:
            self._see[kind](itch.MESSAGES[kind].unpack(message))

    def _stock(self, values: dict[str, Value]) -> _Stock:
        """Stock a message names; met here for the first time, perhaps."""
        locate = int(values["stock_locate"])
        self._known.add(locate)
        return self._stocks.setdefault(str(values["stock"]), _Stock(locate, trading=self._midday))

    def _see_action(self, values: dict[str, Value]) -> None:
        self._stock(values).trading = values["trading_state"] == "T"

    def _see_operational_halt(self, values: dict[str, Value]) -> None:
        if values["market_code"] == "Q":
            self._stock(values).halted_here = values["halt_action"] == "H"

    def _see_short_sale(self, values: dict[str, Value]) -> None:
        self._stock(values).restricted = values["reg_sho_action"] != "0"

    def _see_event(self, values: dict[str, Value]) -> None:
        if values["event_code"] in ("Q", "M"):
            self._open = values["event_code"] == "Q"

    def _see_breaker(self, _: dict[str, Value]) -> None:
        self._open = False

    # The order session.

    def receive(self, frame: bytes, cycle: int) -> list[tuple[int, bytes]]:
        """Take a frame whose last byte came at clock `cycle`; return the replies and the clocks at which they are to be sent."""
        try:
            fresh = self._connection.receive(frame)
        except SegmentError as error:
            self.faults.append(Fault(cycle, str(error)))
            answer = isinstance(error, SequenceError)
            return [(cycle + self.latency, self._connection.send(b""))] if answer else []
        if not fresh:
            return []
        self._stream += fresh
        replies = [self._connection.send(reply) for reply in self._packets(cycle) if reply]
        return [(cycle + self.latency, reply) for reply in replies or [self._connection.send(b"")]]

    def _packets(self, cycle: int) -> list[bytes]:
        """Reply to each whole SoupBinTCP packet in the stream; each reply holds the packets for one order."""
        replies = []
        size = soupbintcp.HEADER.size
        while len(self._stream) >= size:
            header = soupbintcp.HEADER.unpack(self._stream)
            end = 2 + int(header["packet_length"])
            if len(self._stream) < end:
                break
            payload, self._stream = self._stream[size:end], self._stream[end:]
            if header["packet_type"] == UNSEQUENCED_DATA:
                replies.append(self._message(payload, cycle))
            elif header["packet_type"] in (CLIENT_HEARTBEAT, DEBUG):
                self.counts["heartbeats"] += header["packet_type"] == CLIENT_HEARTBEAT
            else:
                self.faults.append(Fault(cycle, f"SoupBinTCP packet type {header['packet_type']!r} was not expected"))
        return replies

    def _message(self, message: bytes, cycle: int) -> bytes:
        layout = ouch.CANCEL_ORDER
        if message[:1] == layout.code.encode() and len(message) == layout.size:
            self.counts["cancels"] += 1
            cancel = layout.unpack(message)
            return self._cancel(int(cancel["user_ref_num"]), int(cancel["quantity"]))
        layout = ouch.ENTER_ORDER
        if message[:1] != layout.code.encode() or len(message) < layout.size + ouch.APPENDAGE.size:
            text = f"OUCH message {message[:1]!r} of {len(message)} bytes is neither an Enter Order nor a Cancel Order"
            self.faults.append(Fault(cycle, text))
            return b""
        options = int(ouch.APPENDAGE.unpack(message, layout.size)["appendage_length"])
        if len(message) != layout.size + ouch.APPENDAGE.size + options:
            self.faults.append(Fault(cycle, f"Enter Order of {len(message)} bytes with an appendage of {options}"))
            return b""
        order = layout.unpack(message)
        number = int(order["user_ref_num"])
        if number <= self._last_user_ref_num:
            self.faults.append(Fault(cycle, f"UserRefNum {number} after {self._last_user_ref_num}: taken for a retransmission"))
            return b""
        self._last_user_ref_num = number
        self.counts["orders"] += 1
        return self._enter(order)

    def _enter(self, order: dict[str, Value]) -> bytes:
        reason = self._objection(order)
        if reason is not None:
            self.counts["rejected"] += 1
            return self._say(ouch.REJECTED, order, reason=reason, clordid=order["clordid"])
        self.counts["accepted"] += 1
        echoed = {name: value for name, value in order.items() if name not in ("type", "user_ref_num")}
        self._next_reference += 1
        said = [self._say(ouch.ORDER_ACCEPTED, order, order_ref=self._next_reference, order_state="L", **echoed)]
        symbol, quantity, buying = str(order["symbol"]), int(order["quantity"]), order["side"] == "B"
        fills = self._market.take(self._stocks[symbol].locate, b"S" if buying else b"B", int(order["price"]), quantity)
        for shares, price in fills:
            self._next_match += 1
            self.counts["fills"] += 1
            signed = shares if buying else -shares
            self.positions[symbol] += signed
            self.cash[symbol] -= signed * price
            said.append(
                self._say(
                    ouch.ORDER_EXECUTED, order,
                    quantity=shares, price=price, liquidity_flag=_REMOVED_LIQUIDITY, match_number=self._next_match,
                )
            )  # fmt: skip
        left = quantity - sum(shares for shares, _ in fills)
        if left:
            self.counts["canceled"] += 1
            said.append(self._say(ouch.ORDER_CANCELED, order, quantity=left, reason=_REMAINDER))
        return b"".join(said)

    def _cancel(self, number: int, quantity: int) -> bytes:
        """Make an order no larger than `quantity` in all."""
        held = self.resting.get(number)
        if held is None:
            self.counts["cancels_late"] += 1
            return b""
        removed = held.left - max(0, quantity - (int(held.order["quantity"]) - held.left))
        if removed <= 0:
            return b""
        held.left -= removed
        if not held.left:
            del self.resting[number]
        self.counts["canceled"] += 1
        return self._say(ouch.ORDER_CANCELED, held.order, quantity=removed, reason=_BY_USER)

    def _objection(self, order: dict[str, Value]) -> Reject | None:
        stock = self._stocks.get(str(order["symbol"]))
        price = int(order["price"])
        if stock is None:
            return Reject.SYMBOL
        if not self._open:
            return Reject.DESTINATION_CLOSED
        if not stock.trading or stock.halted_here:
            return Reject.HALTED
        if order["side"] not in ("B", "S", "T"):
            return Reject.SIDE
        if not 1 <= int(order["quantity"]) <= _MOST_SHARES:
            return Reject.QUANTITY
        if not 0 < price <= _HIGHEST_PRICE or (price >= _DOLLAR and price % _TICK):
            return Reject.PRICE
        if order["time_in_force"] != _IMMEDIATE_OR_CANCEL:
            return Reject.OTHER
        if order["side"] == "T" and stock.restricted:
            return Reject.SHORT_SELL_RESTRICTED
        buying = order["side"] == "B"
        touch = self._market.best(stock.locate, b"S" if buying else b"B")
        if touch is not None and (price - touch if buying else touch - price) * _FAT_FINGER > touch:
            return Reject.FAT_FINGER
        return None

    def _say(self, layout: Layout, order: dict[str, Value], **values: Value) -> bytes:
        message = layout.pack(timestamp=self._time, user_ref_num=order["user_ref_num"], **values)
        if layout.name in ouch.APPENDAGE_REQUIRED:
            message += ouch.APPENDAGE.pack(appendage_length=0)
        return soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type=SEQUENCED_DATA) + message
