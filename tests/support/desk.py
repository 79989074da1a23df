"""A simulated card with two stocks and one pair on it, for tests of the whole appliance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hdl.spec import itch
from hdl.spec.reasons import Mode
from hdl.spec.registers import CARD_LIMITS
from host.config import Configuration, Limit, Pair, Risk, Slot, Strategy
from host.framing import Feed, Framer
from host.loader import Loader, OrderSession
from sim.card import SimulatedCard

DOLLAR = 10_000
NO_CARD_CEILINGS = {name: (1 << bits) - 1 for name, bits in CARD_LIMITS.items()}
"""Columns of a row of ceilings that stop nothing."""
LOCATES = {"AAA": 11, "BBB": 22}
PAIR = Pair(
    leg_a="AAA",
    leg_b="BBB",
    weight_a=1,
    weight_b=1,
    upper_usd=Decimal("50.03"),
    lower_usd=Decimal("49.90"),
    exit_short_usd=Decimal("50.00"),
    exit_long_usd=Decimal("50.00"),
    size_a_shares=100,
    size_b_shares=200,
)
"""Sells the spread where the bid of AAA is 50.03 dollars or more above the offer of BBB."""


def limit(symbol: str, **changes: Any) -> Limit:
    """Limits wide enough for the pair, changed as given."""
    reference = {"AAA": Decimal(100), "BBB": Decimal(50)}[symbol]
    return Limit(**{"symbol": symbol, "reference_usd": reference, "located_shares": 1_000_000} | changes)


@dataclass
class Received:
    """Where a message stood at the MAC's receive output, as the probes outside the gateware saw it.

    Parameters
    ----------
    som, eot : int
        Clocks of its first and last byte.
    """

    som: int
    eot: int


CONFIGURATION = Configuration(
    slots=tuple(Slot(symbol=symbol, locate=locate) for symbol, locate in LOCATES.items()),
    pairs=(PAIR,),
    limits={symbol: limit(symbol) for symbol in LOCATES},
    risk=Risk(ignore_market_hours=True),
    strategy=Strategy(cooldown_us=Decimal(1)),
)


class Market:
    """Makes the messages of two stocks, AAA near 100 dollars and BBB near 50, and the packets they come in."""

    def __init__(self, feed: Feed | None = None) -> None:
        self.feed = feed or Feed()
        self.framer = Framer(self.feed)
        self._time = 34_200_000_000_000
        self._reference = 0

    def message(self, code: str, symbol: str = "AAA", **values: Any) -> bytes:
        """An ITCH message about a symbol; fields not given get a plausible value."""
        layout = itch.MESSAGES[code]
        self._time += 1_000
        usual: dict[str, Any] = {
            "stock_locate": LOCATES[symbol],
            "tracking_number": 0,
            "timestamp": self._time,
            "stock": symbol,
            "match_number": 1,
            "printable": "Y",
            "execution_price": 100 * DOLLAR,
            "attribution": "DESK",
        }
        given = {field.name: values.get(field.name, usual.get(field.name)) for field in layout if field.name != "type"}
        return layout.pack(**given)

    def add(self, symbol: str, side: str, shares: int, price: float, *, code: str = "A") -> tuple[int, bytes]:
        """An order for the book: its reference and the message that adds it."""
        self._reference += 1
        reference = self._reference * 0x9E3779B97F4A7C15 & 0xFFFF_FFFF_FFFF_FFFF
        given = {"order_ref": reference, "side": side, "shares": shares, "price": round(price * DOLLAR)}
        return reference, self.message(code, symbol, **given)

    def opening(self) -> list[bytes]:
        """Both sides of both stocks, 0.05 dollars short of the pair's threshold."""
        quotes = (("AAA", 100.00, 101.00), ("BBB", 50.00, 50.02))
        return [
            self.add(symbol, side, 1_000, price)[1]
            for symbol, bid, offer in quotes
            for side, price in (("B", bid), ("S", offer))
        ]


class Desk(Market):
    """A market and a card that trades in it.

    Parameters
    ----------
    card : SimulatedCard
        Card to set up.
    configuration : Configuration, optional
        What to load; the pair, LIVE, where left out.
    hold_until_fcs : bool
        Packets are used only after their check sequence was good.
    feed : Feed, optional
        Its addresses; one line where left out.
    """

    def __init__(
        self,
        card: SimulatedCard,
        configuration: Configuration | None = None,
        *,
        hold_until_fcs: bool = False,
        feed: Feed | None = None,
    ) -> None:
        super().__init__(feed)
        self.card = card
        self.session = OrderSession()
        self.configuration = configuration or CONFIGURATION
        self.loader = Loader(card)
        self.loader.identify()
        self.loader.load(self.configuration, self.feed, self.session, hold_until_fcs=hold_until_fcs)
        self.loader.arm(Mode.LIVE)

    def send(self, *messages: bytes) -> Received:
        """Send messages in one packet, run until the card rests, and tell where the last of them stood."""
        self.card.received_at()
        frame = self.framer.packet(list(messages))
        self.card.send(frame)
        self.card.run_until_idle(limit=200_000)
        (seen,) = self.card.received_at().tolist()
        width = self.card.geometry.width
        end = len(frame) - 1
        return Received(*(seen[1] + byte // width for byte in (end - len(messages[-1]) + 1, end)))

    def change(self, **registers: int) -> None:
        """Commit the set once more, with some registers of the gate set to what no file can ask for."""
        self.loader.stage(self.configuration)
        for name, value in registers.items():
            self.card.write("risk", name, value)
        self.loader.commit()

    def touch(self) -> None:
        """Send the opening."""
        for message in self.opening():
            self.send(message)
