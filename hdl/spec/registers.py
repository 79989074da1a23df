"""The register map: what the host can set and read, by rule and not by hand-written address.

Words are 32 bits. A register wider than a word takes consecutive words, least significant first: a write takes effect with its
highest word, a read of the lowest word latches the rest. A table row takes a power of two of words, its columns packed from bit 0
on, and is written as one when its highest used word is written. Entries follow each other; a table begins at a multiple of its own
size rounded up to a power of two, so that row and word are plain address bits. Names, order and meaning only ever grow.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hdl.spec import injection, itch, statistics
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Alarm, Drop, Miss, Refusal

WORD = 32


class Access(enum.Enum):
    """What the host may do with a register."""

    RW = "rw"
    """Host sets, reads back what it set."""
    SET = "set"
    """Part of the set of parameters and limits: the host sets it, and it is in force from the next commit on."""
    LOAD = "load"
    """Host sets, gateware moves it on; a read gives its present value."""
    RO = "ro"
    """Gateware sets, host reads."""
    PULSE = "pulse"
    """A write of 1 does something once; reads as 0."""


@dataclass(frozen=True)
class Register:
    """One value.

    Parameters
    ----------
    name : str
        Unique within its block.
    bits : int
        Width.
    access : Access
        What the host may do.
    doc : str
        Meaning and unit, one line.
    reset : int
        Value after power-up.
    """

    name: str
    bits: int
    access: Access
    doc: str
    reset: int = 0

    @property
    def words(self) -> int:
        """32-bit words it takes."""
        return -(-self.bits // WORD)


@dataclass(frozen=True)
class Column:
    """One field of a table row."""

    name: str
    bits: int
    doc: str
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of equal form.

    Parameters
    ----------
    name : str
        Unique within its block.
    rows : callable
        Row count for a geometry.
    columns : tuple of Column
        From bit 0 on.
    doc : str
        Meaning, one line.
    access : Access
        RW and SET tables are written by the host and not read back, see `checksum`; RO tables are only read.
    labels : tuple of str
        Names of the rows, where they have some.
    """

    name: str
    rows: Callable[[Geometry], int]
    columns: tuple[Column, ...]
    doc: str
    access: Access = Access.RW
    labels: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        """Bits of a row."""
        return sum(column.bits for column in self.columns)

    @property
    def words(self) -> int:
        """Words of a row that are used."""
        return -(-self.bits // WORD)

    @property
    def stride(self) -> int:
        """Words from one row to the next."""
        return 1 << (self.words - 1).bit_length()

    def pack(self, **values: int) -> list[int]:
        """Words of a row, lowest first. `ValueError` names a column that is missing, unknown or does not fit."""
        if values.keys() != {column.name for column in self.columns}:
            raise ValueError(f"table {self.name}: columns given were {sorted(values)}")
        row, position = 0, 0
        for column in self.columns:
            value = values[column.name]
            low, high = (-(1 << column.bits - 1), (1 << column.bits - 1) - 1) if column.signed else (0, (1 << column.bits) - 1)
            if not low <= value <= high:
                raise ValueError(f"table {self.name}: {column.name} was {value}, allowed are {low} to {high}")
            row |= (value & ((1 << column.bits) - 1)) << position
            position += column.bits
        return [(row >> WORD * word) & 0xFFFFFFFF for word in range(self.words)]

    def unpack(self, words: Sequence[int]) -> dict[str, int]:
        """Columns of a row from its words, lowest first."""
        row, values = sum(word << WORD * number for number, word in enumerate(words)), {}
        for column in self.columns:
            value = row & (1 << column.bits) - 1
            values[column.name] = value - (1 << column.bits) if column.signed and value >> column.bits - 1 else value
            row >>= column.bits
        return values


@dataclass(frozen=True)
class Block:
    """Registers and tables that belong together."""

    name: str
    doc: str
    entries: tuple[Register | Table, ...]

    @property
    def registers(self) -> tuple[Register, ...]:
        """The plain registers."""
        return tuple(entry for entry in self.entries if isinstance(entry, Register))

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables."""
        return tuple(entry for entry in self.entries if isinstance(entry, Table))


def _counters(name: str, labels: tuple[str, ...], doc: str) -> Table:
    return Table(name, lambda _: len(labels), (Column("count", 32, "modulo 2**32"),), doc, Access.RO, labels)


def _names(kinds: type[enum.IntEnum]) -> tuple[str, ...]:
    return tuple(kind.name.lower() for kind in kinds)


MAGIC = 0x54325431
"""First word of the map: "T2T1"."""

REARM_KEYS = (0x4F504552, 0x5249534B)
"""What is written to `rearm`, in this order, to leave KILLED: "OPER" and "RISK", for the two people it takes."""

ADDRESS_BITS = 20
"""Bits of a word address on the control bus."""

EPOCH_BITS = 16

SHORT_BITS = 24
"""Bits of the shares of a slot that are located, and of those sold short."""
SHARE_BITS = 20
"""Bits of the shares of a pair's leg."""

CHECKSUM_TAPS = 0x04C11DB7
"""Where the bit that leaves the checksum's shift register is fed back: the polynomial of CRC-32."""


def checksum(before: int, address: int, word: int) -> int:
    """What register `risk.checksum` says after one more word was written: 32 bits of a shift register with feedback, which takes
    in the word and where it went. Whatever goes wrong with one word, or is missing or moved, changes it."""
    fed_back = CHECKSUM_TAPS if before >> WORD - 1 else 0
    return (before << 1 & 0xFFFFFFFF) ^ fed_back ^ word ^ address << WORD - ADDRESS_BITS


LEDGER_SLOT = Table(
    "ledger_slot",
    lambda geometry: geometry.slots,
    (
        Column("position", 32, "shares", signed=True),
        Column("open_buys", 32, "shares"),
        Column("open_sells", 32, "shares"),
        Column("orders", 16, "open orders"),
        Column("cash", 64, "1/10000 dollar", signed=True),
        Column("entry_notional", 56, "shares times price of every fill that made the position greater since it was 0"),
        Column("entry_shares", 40, "shares of these fills"),
        Column("shorts", SHORT_BITS, "shares of orders marked short, but for those that ended unfilled"),
    ),
    "What the ledger knows of a slot.",
    Access.RO,
)

LEDGER_ORDER = Table(
    "ledger_order",
    lambda geometry: geometry.open_orders,
    (
        Column("user_ref_num", 32, "the order's number; its place is that modulo the places"),
        Column("open", 32, "open shares"),
        Column("state", 3, "see OrderState"),
        Column("single", 1, "1: of the host, of no pair"),
        Column("side", 1, "0 buy, 1 sell"),
        Column("short", 1, "1: sell short"),
        Column("slot", 10, "slot"),
        Column("pair", 12, "pair"),
    ),
    "What the ledger knows of the order in a place.",
    Access.RO,
)

LEDGER_VIEWS = (LEDGER_SLOT, LEDGER_ORDER)
"""What `inspect_ledger` shows, a word at a time. Columns are only appended."""

VIEW_WORDS = 16
"""Words a view may have."""


def inspected(view: Table, index: int, word: int) -> int:
    """What is written to `inspect_ledger` for a word of a view's row."""
    return index | word + VIEW_WORDS * LEDGER_VIEWS.index(view) << 16


IDENTITY = Block(
    "identity",
    "What this card is. The host refuses a card whose map or geometry is not the one it was built for.",
    (
        Register("magic", 32, Access.RO, "always 0x54325431"),
        Register("map_digest", 32, Access.RO, "first 32 bits of the SHA-256 of this map"),
        Register("width", 8, Access.RO, "bytes a beat"),
        Register("slots", 16, Access.RO, "symbols watched at once"),
        Register("pairs", 16, Access.RO, "pairs"),
        Register("order_capacity", 32, Access.RO, "orders the table can hold"),
        Register("ladder_ticks", 16, Access.RO, "price ticks in the window of a slot and side"),
        Register("open_orders", 16, Access.RO, "own orders followed at once"),
        Register("cycles", 64, Access.RO, "clock count"),
        Register("ring_messages", 32, Access.RO, "messages that can wait for one before them"),
        Register("adaptive", 1, Access.RO, "pairs may have adaptive thresholds"),
        Register("repair", 1, Access.RO, "pairs that are legged may be completed or unwound"),
        Register("line_rate", 1, Access.RO, "the book begins a message every second clock"),
    ),
)

FEED = Block(
    "feed",
    "The market-data lines.",
    (
        Register("address", 32, Access.RW, "IPv4 destination of line A"),
        Register("port", 16, Access.RW, "UDP destination port of line A"),
        Register("address_b", 32, Access.RW, "IPv4 destination of line B, 0: there is none"),
        Register("port_b", 16, Access.RW, "UDP destination port of line B"),
        Register("session", 80, Access.RW, "MoldUDP64 session, ten ASCII characters, the first one most significant"),
        Register("next_sequence", 64, Access.LOAD, "next number expected; loading it forgets what waits"),
        Register("highest", 64, Access.RO, "the number behind the highest heard of; from next_sequence up to it something is missing"),
        Register("gap_wait", 32, Access.RW, "clocks a hole may stay open before it is a gap"),
        Register("recover", 1, Access.RW, "1: at a gap messages wait until what is missing has come; 0: they go on behind it"),
        Register("hold_until_fcs", 1, Access.RW, "1: a packet is used only after its frame check sequence was good"),
        Register("inject", 32, Access.LOAD, f"next of the {injection.WORDS} words of a message of the third line; reads how many "
                 f"wait of the {injection.MESSAGES} there is room for; loading next_sequence forgets them"),
        Table(
            "bindings",
            lambda geometry: geometry.slots,
            (Column("locate", 16, "stock locate of the day"), Column("valid", 1, "slot is in use")),
            "Stock locate each slot listens to.",
        ),
    ),
)

BOOK = Block(
    "book",
    "Order table, ladder and integrity.",
    (
        Register(
            "clear", 1, Access.PULSE,
            "forget all orders, halts and restrictions, every slot is DEAD; takes one clock a table row, the feed must be quiet",
        ),
        Register("declare_exact", 1, Access.PULSE, "every slot is EXACT from here on: the host knows the book is complete"),
        Register("ready", 1, Access.RO, "0 while a clear is under way"),
        Register("live_orders", 32, Access.RO, "orders in the table"),
        Register("table_peak", 32, Access.RO, "most orders the table held at once"),
        Register("detached", 16, Access.RO, "slot that gets private messages in place of the feed's, 65535: none"),
    ),
)

STRATEGY = Block(
    "strategy",
    "Pairs and their thresholds.",
    (
        Register("cooldown", 32, Access.SET, "clocks a pair rests after its orders ended"),
        Table(
            "pairs",
            lambda geometry: geometry.pairs,
            (
                Column("enabled", 1, "1: may trade"),
                Column("weight_a", 18, "unsigned Q6.12"),
                Column("weight_b", 18, "unsigned Q6.12"),
                Column("upper", 52, "sell the spread at or above, 1/10000 dollar with 12 fraction bits", signed=True),
                Column("lower", 52, "buy the spread at or below", signed=True),
                Column("exit_short", 52, "buy back a short spread at or below", signed=True),
                Column("exit_long", 52, "sell out a long spread at or above", signed=True),
                Column("size_a", SHARE_BITS, "shares of leg a per unit"),
                Column("size_b", SHARE_BITS, "shares of leg b per unit"),
                Column("max_units", 8, "units held at most, each way"),
                Column("slippage", 8, "ticks beyond the touch a limit may go"),
                Column("max_triggers", 16, "order pairs that may end until the pair is latched off, 0: no limit"),
                Column("adaptive", 1, "1: thresholds follow mean and variance, those of the row are not used"),
                Column("alpha_shift", 4, "a new sample weighs 2**-alpha_shift"),
                Column("k_entry", 8, "upper and lower lie so many standard deviations off the mean, unsigned Q4.4"),
                Column("k_exit", 8, "the same for exit_short and exit_long"),
                Column("warmup", statistics.COUNT_BITS, "samples until adaptive thresholds may fire"),
                Column("max_rejects", 8, "order pairs in a row with a rejected order until the pair is latched off, 0: no limit"),
                Column("policy", 2, "of a legged pair, see LegPolicy; 3 is none and stops"),
                Column("leg_tries", 4, "orders at most to repair a legged pair, until it is latched off"),
            ),
            "Parameters of each pair, written row by row from 0 on.",
            Access.SET,
        ),
        Table(
            "pair_lists",
            lambda geometry: geometry.slots,
            (Column("first", 13, "first entry in pair_index"), Column("count", 13, "entries")),
            "For each slot the run of entries in pair_index that name the pairs it is a leg of.",
        ),
        Table(
            "pair_index",
            lambda geometry: 2 * geometry.pairs,
            (Column("pair", 12, "pair"),),
            "Pair numbers, one run a slot.",
        ),
        Register("sample_interval", 6, Access.SET, "an adaptive pair is sampled once in 2**sample_interval ns of the feed's time"),
        Register("inspect", 16, Access.LOAD, "pair whose statistics to show; reads 65535 until they are there", reset=0xFFFF),
        Register("inspect_mean", statistics.MEAN_BITS, Access.RO, "two's complement, 1/10000 dollar with 29 fraction bits"),
        Register("inspect_variance", statistics.VARIANCE_BITS, Access.RO, "square of 1/10000 dollar with 26 fraction bits"),
        Register("inspect_samples", statistics.COUNT_BITS, Access.RO, "samples taken over, at most 65535"),
        Table(
            "pair_legs",
            lambda geometry: geometry.pairs,
            (Column("slot_a", 10, "leg a"), Column("slot_b", 10, "leg b")),
            "Slots of each pair, HALTED only. A write also forgets the pair's units, latch, cooldown, allowance used and statistics.",
        ),
    ),
)

RISK = Block(
    "risk",
    "Switches and limits of the gate.",
    (
        Register("trading_state", 2, Access.LOAD, "see TradingState; gateware lowers it, the host sets it", reset=2),
        Register("mode", 2, Access.RW, "see Mode"),
        Register("rate_tokens", 16, Access.SET, "orders that may leave in a burst"),
        Register("rate_interval", 32, Access.SET, "clocks until one token comes back, 0: never"),
        Register("ignore_market_hours", 1, Access.RW, "1: trade outside the feed's market hours too (replays that begin mid-day)"),
        Register("next_user_ref_num", 32, Access.LOAD, "number of the next order", reset=1),
        Table(
            "limits",
            lambda geometry: geometry.slots,
            (
                Column("enabled", 1, "1: orders are allowed"),
                Column("max_quantity", 20, "shares an order"),
                Column("max_notional", 52, "1/10000 dollar an order"),
                Column("max_long", 31, "shares, worst case with open buys"),
                Column("max_short", 31, "shares below zero, worst case with open sells"),
                Column("collar", 32, "furthest from the reference, 1/10000 dollar"),
                Column("collar_bps", 14, "furthest from the reference, 1/10000 of it"),
                Column("located", SHORT_BITS, "shares that may be sold short in all"),
            ),
            "Limits of each slot, written row by row from 0 on.",
            Access.SET,
        ),
        Register("rearm", 32, Access.LOAD, "see REARM_KEYS; KILLED becomes HALTED, reads 1 between the keys"),
        Register("orders_open", 16, Access.RO, "own orders that have not ended; KILLED is not left before it is 0"),
        Register("heartbeat", 1, Access.PULSE, "the host lives"),
        Register("watchdog", 32, Access.RW, "clocks without a heartbeat until REDUCE_ONLY, as many again until KILLED; 0: never"),
        Register("stale_after", 32, Access.SET, "clocks without a message on the feed line until nothing may trade, 0: never"),
        Register("ceilings_locked", 1, Access.RO, "1: ceilings were loaded and hold until reset"),
        Table(
            "ceilings",
            lambda _: 1,
            (
                Column("max_quantity", 20, "see limits"),
                Column("max_notional", 52, "see limits"),
                Column("max_long", 31, "see limits"),
                Column("max_short", 31, "see limits"),
                Column("collar", 32, "see limits"),
                Column("collar_bps", 14, "see limits"),
                Column("max_gross", 56, "see the register"),
                Column("max_net", 56, "see the register"),
                Column("max_loss", 56, "see the register"),
                Column("max_open_orders", 16, "see the register"),
                Column("rate_tokens", 16, "see the register"),
            ),
            "Highest limits. The first write after reset locks them; a row of limits above one is not taken over, nor a register.",
        ),
        Register("pnl", 80, Access.RO, "profit and loss, 1/10000 dollar, signed; longs at the bid, shorts at the ask"),
        Register("gross", 80, Access.RO, "gross notional at the worst, 1/10000 dollar"),
        Register("net_long", 80, Access.RO, "net notional with every open buy filled and no sell, 1/10000 dollar, signed"),
        Register("net_short", 80, Access.RO, "net notional with every open sell filled and no buy, 1/10000 dollar, signed"),
        Register("max_gross", 56, Access.SET, "gross notional at most, 1/10000 dollar; 0: nothing but what shrinks a position"),
        Register("max_net", 56, Access.SET, "net notional at most, each way, 1/10000 dollar; 0: nothing but what shrinks a position"),
        Register("max_loss", 56, Access.SET, "loss at most, 1/10000 dollar; 0: none"),
        Register("loss_reached", 1, Access.RO, "1: the loss was greater than max_loss, and was not re-armed since"),
        Register("rearm_loss", 1, Access.PULSE, "forget that the loss limit was reached; does nothing while the loss is greater"),
        Register("max_open_orders", 16, Access.SET, "open orders of a slot at most; 0: none leaves"),
        Register("duplicate_window", 32, Access.SET, "clocks in which a slot's last order is not sent again, 0: never mind"),
        Register("slot_rate_orders", 16, Access.SET, "orders of a slot that may leave in a window, 0: any number"),
        Register("slot_rate_window", 32, Access.SET, "clocks of a window, 0: it never ends"),
        Table(
            "references",
            lambda geometry: geometry.slots,
            (Column("price", 32, "price used until the feed shows a trade, 0: none"),),
            "Reference price of each slot, HALTED only.",
        ),
        Register("commit", EPOCH_BITS, Access.LOAD, "epoch that what was written is to begin, the next one; reads 1 while it waits"),
        Register("epoch", EPOCH_BITS, Access.RO, "sets committed since reset, modulo 65536: the set in force"),
        Register("checksum", WORD, Access.RO, "of every word written since reset, see hdl.spec.registers.checksum"),
        Table(
            "order",
            lambda _: 1,
            (
                Column("slot", 10, "slot"),
                Column("side", 1, "0 buy, 1 sell"),
                Column("quantity", 20, "shares"),
                Column("price", 32, "limit, 1/10000 dollar"),
            ),
            "A single order, immediate-or-cancel, offered to the gate once as it is written; miss `host_order` where it was not taken.",
        ),
        Table(
            "reload",
            lambda geometry: geometry.slots,
            (
                Column("position", 32, "shares", signed=True),
                Column("price", 32, "mark until the feed shows one, 1/10000 dollar"),
                Column("cash", 64, "1/10000 dollar", signed=True),
                Column("entry_notional", 56, "see inspect_ledger; 0 where the position is"),
                Column("entry_shares", 40, "see inspect_ledger; 0 where the position is"),
                Column("shorts", SHORT_BITS, "shares sold short that count against those located"),
            ),
            "What the ledger goes on from in a slot; HALTED only, and with no own order open.",
        ),
        Register(
            "inspect_ledger", 21, Access.LOAD, "row, and from bit 16 on word, of the ledger to show; reads all ones until it is there",
            reset=0x1FFFFF,
        ),
        Register("inspect_ledger_word", WORD, Access.RO, "the word"),
        Register("ledger_changes", WORD, Access.RO, "times something was booked, modulo 2**32"),
        Register("cancel_all", 1, Access.PULSE, "cancel every own order that is open, in any state"),
        Register("reject_rate_orders", 12, Access.SET, "rejected orders in a window from which on none leaves, 0: any number"),
        Register("cancel_rate_orders", 12, Access.SET, "canceled orders in a window from which on none leaves, 0: any number"),
        Register("report_rate_window", 32, Access.SET, "clocks of a window of these two, 0: it never ends"),
        Register("canary_quantity", 20, Access.RW, "shares of any order at most, at once and whatever its slot's limit, 0: none"),
    ),
)

_LIMITS, _CEILINGS = (next(table for table in RISK.tables if table.name == name) for name in ("limits", "ceilings"))
CARD_LIMITS = {
    column.name: column.bits for column in _CEILINGS.columns if column.name not in {limit.name for limit in _LIMITS.columns}
}
"""Registers of the whole card that have a ceiling, and their bits."""

SESSION = Block(
    "session",
    "The order session: addresses and TCP state, preloaded by the host in this build.",
    (
        Register("up", 1, Access.RW, "1: logged in, orders may leave"),
        Register("local_mac", 48, Access.RW, "our MAC address"),
        Register("peer_mac", 48, Access.RW, "MAC address of the next hop"),
        Register("local_address", 32, Access.RW, "our IPv4 address"),
        Register("peer_address", 32, Access.RW, "the exchange's IPv4 address"),
        Register("local_port", 16, Access.RW, "our TCP port"),
        Register("peer_port", 16, Access.RW, "the exchange's TCP port"),
        Register("send_next", 32, Access.LOAD, "TCP sequence number of the next byte we send"),
        Register("receive_next", 32, Access.LOAD, "TCP sequence number of the next byte we expect"),
        Table(
            "symbols",
            lambda geometry: geometry.slots,
            (Column("symbol", 64, "eight ASCII characters, the first one most significant"),),
            "Symbol of each slot as OUCH wants it.",
        ),
    ),
)

STATUS = Block(
    "status",
    "Counters. They only grow, modulo 2**32.",
    (
        Register("frames_received", 32, Access.RO, "frames that ended, good or bad"),
        Register("frames_sent", 32, Access.RO, "frames handed to the MAC"),
        Register("messages", 32, Access.RO, "ITCH messages of known type and right length"),
        Register("bbo_changes", 32, Access.RO, "BBO records made"),
        Register("triggers", 32, Access.RO, "triggers that became order requests"),
        Register("orders_passed", 32, Access.RO, "orders the gate let through"),
        Register("orders_refused", 32, Access.RO, "orders the gate refused"),
        Register("events_lost", 32, Access.RO, "event records lost for want of room"),
        Register("lost_after_use", 32, Access.RO, "packets that turned out bad after messages of them were used"),
        Register("gaps", 32, Access.RO, "gaps declared"),
        Register("heartbeats", 32, Access.RO, "MoldUDP64 heartbeats and ends of session"),
        Register("duplicates_a", 32, Access.RO, "messages on line A that had been heard before"),
        Register("duplicates_b", 32, Access.RO, "messages on line B that had been heard before"),
        Register("duplicates_inject", 32, Access.RO, "messages of the host that had been heard before"),
        Register("recovered", 32, Access.RO, "times nothing was missing any more after a gap"),
        Register("limits_refused", 32, Access.RO, "rows of limits above a ceiling, and ceilings written when locked"),
        Register("watchdog_expired", 32, Access.RO, "times the host's heartbeat was missed"),
        Register("samples", 32, Access.RO, "samples of adaptive pairs that were taken over"),
        Register("samples_lost", 32, Access.RO, "samples due that found no room, or whose legs were written before they were used"),
        Register("samples_cut", 32, Access.RO, "samples further from the mean than is taken over, cut"),
        Register("commits_wrong_epoch", 32, Access.RO, "commits refused: the number was not the next epoch"),
        Register("commits_incomplete", 32, Access.RO, "commits refused: a row was not written since the last one, or was refused"),
        Register("rows_out_of_turn", 32, Access.RO, "rows of a set that were not the next ones, or came while a commit waited"),
        Register("structure_refused", 32, Access.RO, "rows only a HALTED card takes that came at another time or too fast, rows of reload beside what is open"),
        Register("cancels_sent", 32, Access.RO, "cancels of own orders that left"),
        Register("commits_above_ceiling", 32, Access.RO, "commits refused: a limit of the whole card was above its ceiling"),
        _counters("drop", _names(Drop), "Items not used, by cause."),
        _counters("refusal", _names(Refusal), "Refused orders by reason; an order counts under each that applies."),
        _counters("miss", _names(Miss), "Thresholds reached or evaluations due that made no order request, by cause."),
        _counters("alarm", _names(Alarm), "Reports the ledger could not square."),
        _counters("itch_type", tuple(itch.MESSAGES), "ITCH messages by type."),
    ),
)

BLOCKS = (IDENTITY, FEED, BOOK, STRATEGY, RISK, SESSION, STATUS)


@dataclass(frozen=True)
class Place:
    """Where an entry lies: first word address, and rows (1 for a register)."""

    block: Block
    entry: Register | Table
    address: int
    rows: int


def _ceil_power(value: int) -> int:
    return 1 << max(0, (value - 1).bit_length())


@dataclass(frozen=True)
class RegisterMap:
    """The map of one geometry.

    Parameters
    ----------
    geometry : Geometry
        Decides the row counts.
    """

    geometry: Geometry

    @cached_property
    def places(self) -> dict[tuple[str, str], Place]:
        """Every entry by block and name, in address order."""
        places: dict[tuple[str, str], Place] = {}
        address = 0
        for block in BLOCKS:
            for entry in block.entries:
                if isinstance(entry, Table):
                    rows = entry.rows(self.geometry)
                    span = _ceil_power(rows * entry.stride)
                    address = -(-address // span) * span
                    places[block.name, entry.name] = Place(block, entry, address, rows)
                    address += span
                else:
                    places[block.name, entry.name] = Place(block, entry, address, 1)
                    address += entry.words
        return places

    @property
    def address_bits(self) -> int:
        """Bits of a word address."""
        last = list(self.places.values())[-1]
        span = last.rows * (last.entry.stride if isinstance(last.entry, Table) else last.entry.words)
        return (last.address + span).bit_length()

    @property
    def digest(self) -> int:
        """First 32 bits of the SHA-256 over everything that host and card must agree on: names, places, widths, access, labels."""
        lines = []
        for (block, name), place in self.places.items():
            entry = place.entry
            if isinstance(entry, Table):
                form = [f"{column.name}:{column.bits}:{int(column.signed)}" for column in entry.columns] + list(entry.labels)
            else:
                form = [f"{entry.bits}:{entry.reset}"]
            lines.append(" ".join([block, name, str(place.address), str(place.rows), entry.access.value, *form]))
        for view in LEDGER_VIEWS:
            lines.append(" ".join([view.name, *(f"{column.name}:{column.bits}:{int(column.signed)}" for column in view.columns)]))
        return int.from_bytes(hashlib.sha256("\n".join(lines).encode()).digest()[:4], "big")

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places.values())

    def __getitem__(self, key: tuple[str, str]) -> Place:
        return self.places[key]
