"""Loads a card: checks that it is the one expected, disarms it, sets everything, reads it back, and arms it last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address
from typing import TypedDict

from hdl.spec import injection
from hdl.spec.geometry import Geometry
from hdl.spec.injection import NO_SLOT, Mark
from hdl.spec.reasons import Mode, TradingState
from hdl.spec.registers import (
    BLOCKS,
    EPOCH_BITS,
    LEDGER_SLOT,
    MAGIC,
    REARM_KEYS,
    STATUS,
    WORD,
    Register,
    RegisterMap,
    Table,
    checksum,
)
from hdl.spec.statistics import MEAN_BITS, Statistics
from host import config
from host.card import Card, CardError
from host.config import Ceilings, Configuration
from host.framing import Feed
from host.ledger_port import LedgerPort
from host.snapshot import SlotLedger, Snapshot
from sim.tcp import Endpoint

_CLEAR_POLLS = 1 << 20
_INSPECT_POLLS = 1 << 10
"""Samples that wait go first."""
_READ_BACKS = 2
_COUNTERS = sum(1 if isinstance(entry, Register) else len(entry.labels) for entry in STATUS.entries)
"""Reads behind which a counter's value is of now: the card brings one up to date each clock."""


def _table(block: str, table: str) -> Table:
    return next(entry for part in BLOCKS if part.name == block for entry in part.tables if entry.name == table)


_COMMIT_REFUSED = {
    "commits_wrong_epoch": "another set was committed meanwhile",
    "commits_incomplete": "a row of the set is missing or was refused",
    "commits_above_ceiling": "a limit of the whole card is above its ceiling",
}
"""Counters of commits refused, and what they mean."""


def _zeros(block: str, table: str) -> dict[str, int]:
    """A row of which nothing is in use."""
    return {column.name: 0 for column in _table(block, table).columns}


def _reload_row(slot: SlotLedger) -> dict[str, int]:
    return {
        "position": slot.position,
        "price": slot.mark,
        "cash": slot.cash,
        "entry_notional": slot.entry_notional,
        "entry_shares": slot.entry_shares,
        "shorts": slot.shorts,
    }


class _Checked:
    """Writes to a card, and keeps what its checksum must be afterwards."""

    def __init__(self, card: Card, where: RegisterMap) -> None:
        self._card, self._map = card, where
        self.checksum = card.read("risk", "checksum")

    def row(self, block: str, table: str, row: int, columns: dict[str, int]) -> None:
        place = self._map[block, table]
        assert isinstance(place.entry, Table)
        self._card.write_row(block, table, row, **columns)
        self._add(place.address + row * place.entry.stride, place.entry.pack(**columns))

    def register(self, block: str, name: str, value: int) -> None:
        place = self._map[block, name]
        self._card.write(block, name, value)
        self._add(place.address, [value >> WORD * word & (1 << WORD) - 1 for word in range(place.entry.words)])

    def _add(self, address: int, words: list[int]) -> None:
        for offset, word in enumerate(words):
            self.checksum = checksum(self.checksum, address + offset, word)


class ExchangeSide(TypedDict):
    """What `sim.venue.Venue` takes of a session."""

    local: Endpoint
    remote: Endpoint
    send_next: int
    receive_next: int


@dataclass(frozen=True)
class OrderSession:
    """The order session as the card is preloaded with it.

    Parameters
    ----------
    local_mac, peer_mac : int
        MAC addresses.
    local_address, peer_address : int
        IPv4 addresses.
    local_port, peer_port : int
        TCP ports.
    send_next, receive_next : int
        TCP sequence numbers of the next byte each way.
    next_user_ref_num : int
        Number of the next order.
    """

    local_mac: int = 0x02005E000002
    peer_mac: int = 0x02005E000001
    local_address: int = int(IPv4Address("10.0.0.2"))
    peer_address: int = int(IPv4Address("10.0.0.1"))
    local_port: int = 40000
    peer_port: int = 8003
    send_next: int = 1_000
    receive_next: int = 2_000
    next_user_ref_num: int = 1

    def at_exchange(self) -> ExchangeSide:
        """The same session from its other end."""
        return {
            "local": Endpoint(self.peer_mac, self.peer_address, self.peer_port),
            "remote": Endpoint(self.local_mac, self.local_address, self.local_port),
            "send_next": self.receive_next,
            "receive_next": self.send_next,
        }


class Loader:
    """Sets up one card.

    Parameters
    ----------
    card : Card
        The card.

    Attributes
    ----------
    slots : dict of str to int
        Slot number by symbol, of the slots bound so far.
    watchdog : int
        Clocks between two calls of `beat` at most, 0: nobody counts them.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._geometry = card.geometry
        self.slots: dict[str, int] = {}
        self._locates: dict[int, int] = {}
        self._bound: set[int] = set()
        self.watchdog = 0
        self._symbols = [""] * self._geometry.slots
        self._ceilings: Ceilings | None = None
        self._map = RegisterMap(card.geometry)
        self._staged: Configuration | None = None
        self._configuration: Configuration | None = None
        self._by_hand = False
        self._feed = Feed()
        self._port = LedgerPort(card)
        self._least_number = 0
        """Number of the next order, as far as it was brought over: none goes back behind it."""
        self._loss_before = False
        """The loss limit was reached before what was reloaded, and nobody re-armed it since."""

    @property
    def geometry(self) -> Geometry:
        """Sizes of the card."""
        return self._geometry

    def identify(self) -> None:
        """`CardError` where the card's map or geometry is not the host's."""
        geometry = self._geometry
        expected = {
            "magic": MAGIC,
            "map_digest": RegisterMap(geometry).digest,
            "width": geometry.width,
            "slots": geometry.slots,
            "pairs": geometry.pairs,
            "order_capacity": geometry.order_capacity,
            "ladder_ticks": geometry.ladder_ticks,
            "open_orders": geometry.open_orders,
            "ring_messages": geometry.ring_messages,
            "adaptive": int(geometry.adaptive),
            "repair": int(geometry.repair),
            "line_rate": int(geometry.line_rate),
        }
        wrong = [
            f"{name} is {value:#x}, expected was {wanted:#x}"
            for name, wanted in expected.items()
            if (value := self._card.read("identity", name)) != wanted
        ]
        if wrong:
            raise CardError("the card is not the one this host was built for: " + "; ".join(wrong))

    @property
    def next_sequence(self) -> int:
        """Number of the next message to be used."""
        return self._card.read("feed", "next_sequence")

    @property
    def highest(self) -> int:
        """The number behind the highest the card has heard of."""
        return self._card.read("feed", "highest")

    @property
    def inject_room(self) -> int:
        """Messages the card takes on its third line without refusing one."""
        return injection.MESSAGES - self._card.read("feed", "inject")

    def inject(self, number: int, message: bytes, mark: Mark = Mark.LINE) -> None:
        """Give the card a message on its third line. `ValueError` where that line cannot carry it."""
        for word in injection.words(number, message, mark):
            self._card.write("feed", "inject", word)

    @property
    def detached(self) -> int | None:
        """The slot that gets private messages in place of the feed's."""
        slot = self._card.read("book", "detached")
        return None if slot == NO_SLOT else slot

    def locate(self, slot: int) -> int:
        """Stock locate that a slot was bound to."""
        return self._locates[slot]

    @property
    def bound(self) -> Mapping[int, int]:
        """Stock locate of each slot that listens to one."""
        return {slot: self._locates[slot] for slot in self._bound}

    def detach(self, slot: int) -> None:
        """Take a slot from the feed: its book is emptied, and it is DEAD until `attach`. Waits as all on that line."""
        self.inject(0, injection.command(self._locates[slot]), Mark.DETACH)

    def attach(self, slot: int, number: int, *, timestamp: int = 0) -> None:
        """Give a slot back to the feed: it was given all up to a number. The card refuses that, and `detached` tells so, where a
        message of it has come that it was not given, or that number has not come."""
        self.inject(number, injection.command(self._locates[slot], timestamp=timestamp), Mark.ATTACH)

    @property
    def gap_wait(self) -> int:
        """Clocks a hole may stay open before it is a gap."""
        return self._card.read("feed", "gap_wait")

    def end_wait(self) -> None:
        """No hole will be filled any more."""
        self._set("feed", gap_wait=0)

    def listen(self, on: bool) -> None:
        """Let the card hear the feed's lines, or neither: then nothing of them is used, and nothing is missing."""
        address, address_b = (self._feed.address, self._feed.address_b) if on else (0, 0)
        self._set("feed", address=address, address_b=address_b)

    def go_on_at(self, number: int) -> None:
        """Expect a number next: what waits is forgotten, what is before it will not come, and slots that were SUSPECT stay so."""
        self._card.write("feed", "next_sequence", number)

    def declare_exact(self) -> None:
        """Every slot is EXACT from here on: the host knows that each book is complete."""
        self._card.pulse("book", "declare_exact")

    def clear_book(self) -> None:
        """Forget all orders, that a slot is detached, and what was missing; every slot is DEAD. The feed must be quiet."""
        self._card.pulse("book", "clear")
        for _ in range(_CLEAR_POLLS):
            if self._card.read("book", "ready"):
                return
        raise CardError("the book did not become ready after a clear")

    @property
    def lost_after_use(self) -> int:
        """Bad frames of which something was used, as of a few hundred clocks ago."""
        return self._card.read("status", "lost_after_use")

    @property
    def events_lost(self) -> int:
        """Event records that found no room on the card, as of a few hundred clocks ago."""
        return self._card.read("status", "events_lost")

    def load(
        self, configuration: Configuration, feed: Feed, session: OrderSession, *, hold_until_fcs: bool = False, late: bool = False
    ) -> None:
        """Set everything but the switches that let orders out; the card is left disarmed, its books empty and EXACT, or where it
        comes `late` to the day, DEAD and hearing neither line. While it works no line is heard: what comes then is missing, and
        said to be, as soon as the lines are open."""
        geometry = self._geometry
        self._feed = feed
        self._keep_number(session.next_user_ref_num)
        self.disarm()
        if count := self._card.read("risk", "orders_open"):
            raise CardError(f"own orders are open: {count}; a card is loaded only where none is: they would end for other pairs")
        self._watch(0)
        # What the card listened to last must not fill books that are declared EXACT at the end.
        self.listen(False)
        self._set("feed", port=feed.port, port_b=feed.port_b, session=int.from_bytes(feed.session, "big"))
        self._set("feed", next_sequence=feed.next_sequence, hold_until_fcs=int(hold_until_fcs))
        self._set("feed", **config.feed_registers(configuration.feed, geometry))
        self.load_slots(configuration)
        self._lock_ceilings(configuration.ceilings)
        self._set("risk", ignore_market_hours=int(configuration.risk.ignore_market_hours))
        self._set("risk", canary_quantity=configuration.risk.canary_shares)
        self.stage(configuration)
        self.commit()
        # Last: what was sampled of pairs by the rows before is forgotten with their legs.
        self._load_structure(configuration)
        self._by_hand = False
        self._set(
            "session",
            local_mac=session.local_mac,
            peer_mac=session.peer_mac,
            local_address=session.local_address,
            peer_address=session.peer_address,
            local_port=session.local_port,
            peer_port=session.peer_port,
            send_next=session.send_next,
            receive_next=session.receive_next,
        )
        self._set("risk", next_user_ref_num=session.next_user_ref_num)
        # What was on its way when the lines were shut has come by now.
        self.clear_book()
        if not late:
            self.declare_exact()
            self.listen(True)
        self._watch(config.watchdog_clocks(configuration.risk, geometry))

    def snapshot(self, marks: Mapping[str, int] | None = None) -> Snapshot:
        """What the card's ledger holds, of one moment, whether it trades or not.

        `marks` are prices of symbols, 1/10000 dollar. `CardError` where orders and reports keep coming.
        """
        names = {number: symbol for symbol, number in self.slots.items()}
        found = self._port.snapshot([names.get(slot, "") for slot in range(self._geometry.slots)], marks or {})
        return found.model_copy(update={"loss_reached": found.loss_reached or self._loss_before})

    def ledger(self, symbol: str) -> dict[str, int]:
        """What the card's ledger holds of a symbol: columns of `registers.LEDGER_SLOT`."""
        return self._port.row(LEDGER_SLOT, self.slots[symbol])

    def reload(self, snapshot: Snapshot, *, next_user_ref_num: int | None = None) -> None:
        """Let a loaded card that holds nothing go on from a snapshot: positions, cash, entry figures and the next order's number.

        Pairs begin flat, whatever is held. A KILLED card's snapshot leaves the card KILLED; one whose loss limit was reached
        keeps the card from being armed until `rearm_loss`.

        Parameters
        ----------
        snapshot : Snapshot
            What to go on from.
        next_user_ref_num : int, optional
            Number of the next order, where it is a higher one.

        Raises
        ------
        CardError
            Where orders were open, a symbol is not watched, the number is lower, the card is not HALTED, or does not take it.
        """
        number = snapshot.next_user_ref_num if next_user_ref_num is None else next_user_ref_num
        self._refuse_snapshot(snapshot, number)
        rows = {self.slots[slot.symbol]: slot for slot in snapshot.slots if slot.symbol in self.slots}
        if snapshot.state is TradingState.KILLED:
            self.kill()
        nothing, before = _zeros("risk", "reload"), self._count("structure_refused")
        for slot in range(self._geometry.slots):
            self._card.write_row("risk", "reload", slot, **(_reload_row(rows[slot]) if slot in rows else nothing))
        if count := self._count("structure_refused") - before:
            raise CardError(f"the card refused {count} rows of the ledger")
        self._least_number = number
        self._set("risk", next_user_ref_num=number)
        self._loss_before = snapshot.loss_reached
        self._check_reload(rows)
        if not snapshot.loss_reached:
            # Row by row the sums were those of no moment. A loss that is there now is reached all the same.
            self._card.pulse("risk", "rearm_loss")

    def adopt(self, configuration: Configuration) -> Snapshot:
        """Take over a card that another host loaded with this configuration, and that lives on; give what its ledger holds.

        Nothing is written. The set in force has to be the configuration's: the card does not tell which it is.
        """
        self.identify()
        self.slots = {slot.symbol: number for number, slot in enumerate(configuration.slots)}
        self._symbols = [slot.symbol for slot in configuration.slots]
        self._symbols += [""] * (self._geometry.slots - len(self._symbols))
        self._configuration, self._ceilings = configuration, configuration.ceilings
        self.watchdog = self._read("risk", "watchdog")
        found = self.snapshot()
        self._least_number = found.next_user_ref_num
        return found

    def _refuse_snapshot(self, snapshot: Snapshot, number: int) -> None:
        if snapshot.orders:
            told = ", ".join(f"{each.user_ref_num} ({each.side} {each.open_shares} {each.symbol})" for each in snapshot.orders)
            raise CardError(f"orders were open: {told}; what became of them has to be asked of the exchange first")
        held = [slot.symbol for slot in snapshot.slots if slot.position or slot.cash]
        if unknown := [symbol for symbol in held if symbol not in self.slots]:
            raise CardError(f"the snapshot holds {', '.join(unknown)}; allowed are the symbols watched: {', '.join(self.slots)}")
        if number < snapshot.next_user_ref_num:
            raise CardError(f"next_user_ref_num: {number} was given, allowed is {snapshot.next_user_ref_num} or higher")
        self._keep_number(number)
        if (state := self.trading_state) is not TradingState.HALTED:
            raise CardError(f"the card is {state.name}: a ledger is reloaded only into a HALTED one")
        if count := self._card.read("risk", "orders_open"):
            raise CardError(f"own orders are open: {count}; a ledger is reloaded only where none is")

    def _keep_number(self, number: int) -> None:
        """Numbers of orders only grow, also over a restart."""
        if number < self._least_number:
            raise CardError(f"next_user_ref_num: {number} was given, allowed is {self._least_number} or higher")

    def _check_reload(self, rows: Mapping[int, SlotLedger]) -> None:
        """Read back what was reloaded."""
        for symbol, slot in self.slots.items():
            wanted = _reload_row(rows[slot]) if slot in rows else _zeros("risk", "reload")
            found = self.ledger(symbol)
            for name in ("position", "cash", "entry_notional", "entry_shares", "shorts"):
                if found[name] != wanted[name]:
                    raise CardError(f"{symbol}: {name} was set to {wanted[name]} and reads {found[name]}")

    @property
    def epoch(self) -> int:
        """Number of the set of parameters and limits in force."""
        return self._read("risk", "epoch")

    def push(self, configuration: Configuration) -> int:
        """Put another set of parameters and limits in force, between two messages, while the card trades; give its epoch.

        What is remembered of pairs and symbols stays. `CardError` where the configuration differs in more than a set can, or the
        card did not take it whole; then the set in force stays what it was.
        """
        self.stage_change(configuration)
        return self.commit()

    def stage_change(self, configuration: Configuration) -> None:
        """The first half of `push`."""
        if self._configuration is None:
            raise CardError("no configuration was loaded that another set could take the place of")
        if differences := config.beyond_a_set(self._configuration, configuration):
            raise CardError("more than parameters and limits would change: " + "; ".join(differences))
        self.stage(configuration)

    def stage(self, configuration: Configuration) -> None:
        """Write a whole set beside the one in force. `CardError` where the card does not hold what was written."""
        geometry = self._geometry
        nothing = _zeros("risk", "limits")
        limits = {self.slots[symbol]: config.limit_row(limit) for symbol, limit in configuration.limits.items()}
        pairs = [config.pair_row(pair) for pair in configuration.pairs]
        pairs += [_zeros("strategy", "pairs")] * (geometry.pairs - len(pairs))
        registers = {
            "risk": config.risk_registers(configuration.risk, geometry),
            "strategy": config.strategy_registers(configuration.strategy, geometry),
        }
        self._staged = None
        refused, late = self._count("limits_refused"), self._count("rows_out_of_turn")
        writing = _Checked(self._card, self._map)
        for slot in range(geometry.slots):
            writing.row("risk", "limits", slot, limits.get(slot, nothing))
        for number, row in enumerate(pairs):
            writing.row("strategy", "pairs", number, row)
        for block, values in registers.items():
            for name, value in values.items():
                writing.register(block, name, value)
        if (found := self._card.read("risk", "checksum")) != writing.checksum:
            wanted = writing.checksum
            raise CardError(f"the card was not written what was sent: its checksum is {found:#010x}, not {wanted:#010x}")
        for block, values in registers.items():
            for name, value in values.items():
                if (found := self._read(block, name)) != value:
                    raise CardError(f"{block}.{name} was set to {value:#x} and reads {found:#x}")
        if self._count("limits_refused") != refused:
            names = ", ".join(self._symbols[slot] for slot in self._above(limits))
            raise CardError(f"the card refused the limits of {names}: they are above its ceilings")
        if count := self._count("rows_out_of_turn") - late:
            raise CardError(f"the card took {count} rows of the set for rows out of turn")
        self._staged = configuration

    def commit(self) -> int:
        """Put what was staged in force, and give its epoch. `CardError` where the card refuses it; then nothing has changed."""
        if self._staged is None:
            raise CardError("nothing was staged whole: there is nothing to commit")
        wanted = (self._card.read("risk", "epoch") + 1) % (1 << EPOCH_BITS)
        counts = {name: self._count(name) for name in _COMMIT_REFUSED}
        self._card.write("risk", "commit", wanted)
        if (epoch := self._read("risk", "epoch")) != wanted:
            why = [text for name, text in _COMMIT_REFUSED.items() if self._count(name) != counts[name]]
            reason = why[0] if why else "it does not say why"
            raise CardError(f"the card did not begin epoch {wanted}, it is at {epoch}: {reason}")
        self._configuration, self._staged = self._staged, None
        return epoch

    def load_slots(self, configuration: Configuration) -> None:
        """Give every symbol of the watch list its slot, and bind those whose locate is known."""
        for number in range(self._geometry.slots):
            self.unbind(number)
        self.slots = {slot.symbol: number for number, slot in enumerate(configuration.slots)}
        for symbol, number in self.slots.items():
            self._name(number, symbol)
        for slot in configuration.slots:
            if slot.locate is not None:
                self.bind(self.slots[slot.symbol], slot.locate)

    def arm(self, mode: Mode) -> None:
        """Let orders out as the mode says: session up first, trading state last. `CardError` where the card is KILLED, the loss
        limit was reached and not re-armed, or orders of the host have made the units of pairs another thing than positions."""
        self._refuse_killed()
        if mode is not Mode.OFF and self._by_hand and self._configuration is not None and self._configuration.pairs:
            raise CardError("orders of the host were written: what pairs hold is no longer known, load the configuration anew")
        if mode is not Mode.OFF and self.loss_reached:
            raise CardError("the loss limit was reached: nothing but re-arming it lets the card trade freely again")
        self.beat()
        self._set("risk", mode=mode)
        if mode is Mode.LIVE:
            self._set("session", up=1)
        if mode is not Mode.OFF:
            self._set("risk", trading_state=TradingState.ACTIVE)

    def disarm(self) -> None:
        """No order leaves from here on. `CardError` where the card is KILLED, which it stays; nothing leaves it either, but for
        the cancels of what is open, for which its session stays up."""
        self._card.write("risk", "trading_state", TradingState.HALTED)
        self._set("risk", mode=Mode.OFF)
        self._refuse_killed()
        self._set("session", up=0)
        self._set("risk", trading_state=TradingState.HALTED)

    def kill(self) -> None:
        """No order leaves from here on, and none can before `rearm`: nothing else that is written changes that. The card cancels
        what is open."""
        self._set("risk", trading_state=TradingState.KILLED)

    def cancel_all(self) -> None:
        """Have the card cancel whatever is open of its orders, in any state, as soon as the order session is up. A kill does so
        by itself; what came to nothing at the exchange, or was lost on the way to it, needs another word."""
        self._card.pulse("risk", "cancel_all")

    def rearm(self) -> None:
        """Make a KILLED card HALTED. `CardError` where it is not KILLED, own orders are open, or it does not obey."""
        if (state := self.trading_state) is not TradingState.KILLED:
            raise CardError(f"the card is {state.name}, not KILLED: there is nothing to re-arm")
        if count := self._card.read("risk", "orders_open"):
            raise CardError(f"own orders are open: {count}; the card stays KILLED until they have ended")
        self.beat()
        for key in REARM_KEYS:
            self._card.write("risk", "rearm", key)
        if (state := self.trading_state) is not TradingState.HALTED:
            raise CardError(f"the card did not become HALTED by the keys, it is {state.name}")

    def rearm_loss(self) -> None:
        """Forget that the loss limit was reached; the trading state stays. `CardError` where it was not, or is still passed."""
        if not self.loss_reached:
            raise CardError("the loss limit was not reached: there is nothing to re-arm")
        self._loss_before = False
        self._card.pulse("risk", "rearm_loss")
        if self.loss_reached:
            raise CardError("the loss is still greater than its limit, so it was not re-armed")

    @property
    def loss_reached(self) -> bool:
        """Whether the loss limit was reached and not re-armed, here or before what was reloaded."""
        return self._loss_before or bool(self._read("risk", "loss_reached"))

    def reduce(self) -> None:
        """From here on only what shrinks a position leaves. Raises nothing: a card in a lower state stays there."""
        if self.trading_state is TradingState.ACTIVE:
            self._set("risk", trading_state=TradingState.REDUCE_ONLY)

    def order(self, symbol: str, shares: int, price: int) -> None:
        """Write one immediate-or-cancel order, below zero a sale, for the gate to judge now or never: the verdict, or the miss
        `host_order`, tells what became of it. `ValueError` where it is none that the card's register holds.

        Parameters
        ----------
        symbol : str
            Symbol of a slot.
        shares : int
            Shares to buy, or less than 0 to sell.
        price : int
            Limit, 1/10000 dollar.
        """
        if symbol not in self.slots:
            raise ValueError(f"symbol: {symbol} was given, allowed are {', '.join(self.slots)}")
        row = {"slot": self.slots[symbol], "side": int(shares < 0), "quantity": abs(shares), "price": price}
        _table("risk", "order").pack(**row)
        self._by_hand = True
        self._card.write_row("risk", "order", 0, **row)

    def beat(self) -> None:
        """Tell the card that the host lives."""
        self._card.pulse("risk", "heartbeat")

    @property
    def trading_state(self) -> TradingState:
        """State of the card."""
        return TradingState(self._read("risk", "trading_state"))

    def bind(self, slot: int, locate: int) -> None:
        """Let a slot listen to a stock locate."""
        self._locates[slot] = locate
        self._bound.add(slot)
        self._card.write_row("feed", "bindings", slot, locate=locate, valid=1)

    def unbind(self, slot: int) -> None:
        """Let a slot listen to nothing."""
        self._bound.discard(slot)
        self._card.write_row("feed", "bindings", slot, locate=0, valid=0)

    def add(self, symbol: str, locate: int) -> bool:
        """Bind the next free slot; False where none is free."""
        number = len(self.slots)
        if number >= self._geometry.slots:
            return False
        self.slots[symbol] = number
        self._name(number, symbol)
        self.bind(number, locate)
        return True

    def symbol(self, slot: int) -> str:
        """Symbol of a slot."""
        return self._symbols[slot]

    def rename(self, old: str, new: str) -> None:
        """Give a slot another symbol."""
        number = self.slots[old]
        self.slots = {new if symbol == old else symbol: slot for symbol, slot in self.slots.items()}
        self._name(number, new)

    def statistics(self, pair: int) -> Statistics:
        """What the card knows of an adaptive pair's spread, as of one moment. `CardError` where it does not tell."""
        if not self._geometry.adaptive:
            raise CardError("this card keeps no statistics: it has static pairs only")
        self._card.write("strategy", "inspect", pair)
        for _ in range(_INSPECT_POLLS):
            if self._card.read("strategy", "inspect") == pair:
                break
        else:
            raise CardError(f"the card did not tell the statistics of pair {pair}")
        mean = self._card.read("strategy", "inspect_mean")
        return Statistics(
            mean - (mean >> MEAN_BITS - 1 << MEAN_BITS),
            self._card.read("strategy", "inspect_variance"),
            self._card.read("strategy", "inspect_samples"),
        )

    def _name(self, slot: int, symbol: str) -> None:
        self._symbols[slot] = symbol
        self._card.write_row("session", "symbols", slot, symbol=int.from_bytes(symbol.ljust(8).encode("latin-1")[:8], "big"))

    def _refuse_killed(self) -> None:
        if self.trading_state is TradingState.KILLED:
            raise CardError("the card is KILLED: no order leaves it, and nothing but re-arming it changes that")

    def _watch(self, period: int) -> None:
        """Have the card count the clocks between the host's heartbeats."""
        self._set("risk", watchdog=period)
        self.watchdog = period

    def _lock_ceilings(self, ceilings: Ceilings | None) -> None:
        """Load the ceilings, once: the card does not tell those that it holds, so only this loader's own are known."""
        if ceilings is None or ceilings == self._ceilings:
            return
        if self._read("risk", "ceilings_locked"):
            raise CardError("the card's ceilings were locked before these came: nothing but its reset makes room for others")
        self._card.write_row("risk", "ceilings", 0, **config.ceilings_row(ceilings))
        if not self._read("risk", "ceilings_locked"):
            raise CardError("the ceilings were written and are not locked")
        self._ceilings = ceilings

    def _above(self, limits: Mapping[int, dict[str, int]]) -> Iterator[int]:
        """Slots whose limits the card refuses, by writing all of them once more, in order."""
        nothing, before = _zeros("risk", "limits"), self._count("limits_refused")
        for slot in range(self._geometry.slots):
            self._card.write_row("risk", "limits", slot, **limits.get(slot, nothing))
            if (now := self._count("limits_refused")) != before:
                yield slot
            before = now

    def _count(self, name: str) -> int:
        return [self._card.read("status", name) for _ in range(_COUNTERS)][-1]

    def _load_structure(self, configuration: Configuration) -> None:
        """What only a HALTED card takes: legs, which pairs a slot has, prices to begin with. Every pair begins anew."""
        card = self._card
        before = self._count("structure_refused")
        references = {self.slots[symbol]: limit.reference_usd for symbol, limit in configuration.limits.items()}
        for slot in range(self._geometry.slots):
            card.write_row("risk", "references", slot, price=config.price_units(references.get(slot, Decimal(0))))
        legs = [config.legs_row(pair, self.slots) for pair in configuration.pairs]
        for number, row in enumerate(legs):
            card.write_row("strategy", "pair_legs", number, **row)
        for number in range(len(legs), self._geometry.pairs):
            card.write_row("strategy", "pair_legs", number, **_zeros("strategy", "pair_legs"))
        entry = 0
        for slot, numbers in enumerate(config.pairs_by_slot(legs, self._geometry)):
            card.write_row("strategy", "pair_lists", slot, first=entry, count=len(numbers))
            for pair_number in numbers:
                card.write_row("strategy", "pair_index", entry, pair=pair_number)
                entry += 1
        if count := self._count("structure_refused") - before:
            raise CardError(
                f"the card refused {count} rows of legs, lists or references: it takes them HALTED, legs with no order "
                "open and no pair under repair"
            )

    def _set(self, block: str, **values: int) -> None:
        """Write registers and read them back; `CardError` where one did not take."""
        for name, value in values.items():
            self._card.write(block, name, value)
        for name, value in values.items():
            if (present := self._read(block, name)) != value:
                raise CardError(f"{block}.{name} was set to {value:#x} and reads {present:#x}")

    def _read(self, block: str, name: str) -> int:
        # What gateware holds itself may take a few clocks to arrive there, so a first read can still find the old value.
        return [self._card.read(block, name) for _ in range(_READ_BACKS)][-1]
