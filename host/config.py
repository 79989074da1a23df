"""What to watch and how to trade it, from TOML files: every value checked against the card it is meant for.

A file holds any of the arrays ``[[slots]]``, ``[[pairs]]``, ``[[limits]]`` and the tables ``[line_b]``, ``[feed]``,
``[recovery]``, ``[risk]``, ``[ceilings]`` and ``[strategy]``; several files are taken together. Amounts are in the unit their key
names; `pair_row`, `limit_row` and the rest give the integers the card takes. All errors of all files are found before any is
reported.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MultipleOf
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hdl.spec.geometry import Geometry
from hdl.spec.moldudp64 import END_OF_SESSION
from hdl.spec.reasons import LegPolicy, Mode
from hdl.spec.registers import BLOCKS, Register
from hdl.spec.statistics import K_FRACTION

PRICE_UNITS = 10_000
"""Device units of price in a dollar."""
WEIGHT_UNITS = 1 << 12
"""Device units in a weight of 1; a spread has as many in each unit of price."""
OUCH_MOST_SHARES = 999_999
"""Shares of the largest order OUCH takes."""
OUCH_HIGHEST_USD = Decimal("199999.99")
"""Highest limit price OUCH takes."""


class ConfigError(Exception):
    """The configuration was refused.

    Parameters
    ----------
    problems : sequence of str
        One line each: file, key, what was given, what is allowed.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def _highest(block: str, name: str, column: str = "") -> int:
    """Largest value a register or table column holds."""
    entry = next(entry for part in BLOCKS if part.name == block for entry in part.entries if entry.name == name)
    if isinstance(entry, Register):
        return (1 << entry.bits) - 1
    found = next(each for each in entry.columns if each.name == column)
    return (1 << found.bits - found.signed) - 1


def _decimal(value: object) -> object:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _multicast(text: str) -> str:
    if not IPv4Address(text).is_multicast:
        raise ValueError("not a multicast address")
    return text


Symbol = Annotated[str, Field(pattern=r"^[!-~]{1,8}$")]

_CENT = Decimal("0.01")
_PRICE_STEP = Decimal(1) / PRICE_UNITS
_WEIGHT_STEP = Decimal(1) / WEIGHT_UNITS
_WEIGHT_MOST = _highest("strategy", "pairs", "weight_a") * _WEIGHT_STEP
# Ranges of dollars are cut to whole cents so that the bound an error names can be typed.
_SPREAD_MOST = (Decimal(_highest("strategy", "pairs", "upper")) / (PRICE_UNITS * WEIGHT_UNITS)).quantize(_CENT, "ROUND_DOWN")
_NOTIONAL_MOST = (Decimal(_highest("risk", "limits", "max_notional")) / PRICE_UNITS).quantize(_CENT, "ROUND_DOWN")
_TOTAL_MOST = (Decimal(min(_highest("risk", name) for name in ("max_gross", "max_net", "max_loss"))) / PRICE_UNITS).quantize(
    _CENT, "ROUND_DOWN"
)
# The fastest build has 156.25 clocks in a microsecond.
_MICROSECONDS_MOST = _highest("risk", "rate_interval") * 100 // 15_625
_MILLISECONDS_MOST = min(_highest("risk", "watchdog"), _highest("risk", "stale_after")) // 156_250

_K_STEP = Decimal(1) / (1 << K_FRACTION)

Weight = Annotated[Decimal, BeforeValidator(_decimal), Ge(_WEIGHT_STEP), Le(_WEIGHT_MOST)]
"""A factor, taken to the nearest 1/4096."""
Spread = Annotated[Decimal, BeforeValidator(_decimal), Ge(-_SPREAD_MOST), Le(_SPREAD_MOST)]
"""Dollars of a spread, taken to the nearest 1/40960000."""
MaybeSpread = Annotated[Decimal | None, BeforeValidator(_decimal), Ge(-_SPREAD_MOST), Le(_SPREAD_MOST)]
"""The same, or left out."""
Deviations = Annotated[
    Decimal | None,
    BeforeValidator(_decimal),
    Ge(Decimal(0)),
    Le(_highest("strategy", "pairs", "k_entry") * _K_STEP),
    MultipleOf(_K_STEP),
]
"""Standard deviations off the mean."""
Notional = Annotated[Decimal, BeforeValidator(_decimal), Ge(_PRICE_STEP), Le(_NOTIONAL_MOST), MultipleOf(_PRICE_STEP)]
"""Dollars of an order."""
Price = Annotated[Decimal, BeforeValidator(_decimal), Ge(Decimal(0)), Le(OUCH_HIGHEST_USD), MultipleOf(_PRICE_STEP)]
"""Dollars of a share."""
Microseconds = Annotated[Decimal, BeforeValidator(_decimal), Ge(Decimal(0)), Le(Decimal(_MICROSECONDS_MOST))]
"""Time, taken to the nearest clock."""
Timeout = Annotated[Decimal, BeforeValidator(_decimal), Ge(Decimal(1)), Le(Decimal(_MICROSECONDS_MOST))]
"""Time, taken to the nearest clock."""
Milliseconds = Annotated[
    Decimal, BeforeValidator(_decimal), Ge(Decimal(0)), Le(Decimal(_MILLISECONDS_MOST)), MultipleOf(Decimal("0.001"))
]
"""Time; the step keeps what is not 0 from becoming no clock at all, which would switch a check off."""
Total = Annotated[Decimal, BeforeValidator(_decimal), Ge(Decimal(0)), Le(_TOTAL_MOST), MultipleOf(_PRICE_STEP)]
"""Dollars of all symbols together."""
Window = Annotated[
    Decimal, BeforeValidator(_decimal), Ge(Decimal(0)), Le(Decimal(_MICROSECONDS_MOST)), MultipleOf(Decimal("0.1"))
]
"""Time; the step keeps what is not 0 from becoming no clock at all."""
Quantity = Annotated[int, Ge(1), Le(OUCH_MOST_SHARES)]
"""Shares of an order."""
Long = Annotated[int, Ge(0), Le(_highest("risk", "limits", "max_long"))]
"""Shares held."""
Short = Annotated[int, Ge(0), Le(_highest("risk", "limits", "max_short"))]
"""Shares below zero."""
BasisPoints = Annotated[int, Ge(0), Le(10_000)]
"""Parts of 10,000."""
Multicast = Annotated[str, AfterValidator(_multicast)]
"""IPv4 address of a group."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LineB(_Model):
    """The feed's second line, which may carry the same messages. Left out: there is none."""

    address: Multicast = Field(description="IPv4 destination")
    port: int = Field(ge=1, le=_highest("feed", "port_b"), description="UDP destination port")


class FeedTable(_Model):
    """How the feed's lines are put together."""

    gap_wait_us: Microseconds = Field(
        default=Decimal(50), description="a hole may stay open so long for the other line to fill it; then it is a gap"
    )
    recover: bool = Field(
        default=False, description="true: at a gap messages wait until what is missing has come; false: they go on behind it"
    )


class RecoveryTable(_Model):
    """How missing messages are asked for where `recover` of the feed is true."""

    timeout_us: Timeout = Field(default=Decimal(1_000), description="an answer may take so long; then the request is sent again")
    tries: int = Field(default=5, ge=1, le=1_000, description="requests without an answer until what they ask for is given up")
    messages_per_request: int = Field(
        default=1_000, ge=1, le=END_OF_SESSION - 1, description="messages one request asks for, at most"
    )
    reload_dead: bool = Field(
        default=False, description="true: a DEAD slot is given its orders anew, from a GLIMPSE snapshot and what came behind it"
    )
    reload_feed: bool = Field(
        default=False,
        description="true: where nobody has what is missing, and after a late start, every slot begins anew from one snapshot",
    )


class Slot(_Model):
    """A symbol to watch."""

    symbol: Symbol = Field(description="as the directory messages spell it")
    locate: int | None = Field(
        default=None,
        ge=1,
        le=_highest("feed", "bindings", "locate"),
        description="stock locate, used where the feed has no directory message for the symbol",
    )


class Pair(_Model):
    """Two symbols traded against each other: the spread is weight_a * leg a - weight_b * leg b."""

    name: str = Field(default="", max_length=64, description="for reports; LEG_A/LEG_B where left out")
    leg_a: Symbol = Field(description="symbol of a slot")
    leg_b: Symbol = Field(description="symbol of another slot")
    enabled: bool = Field(default=True, description="false: never trades")
    weight_a: Weight = Field(description="factor of leg a")
    weight_b: Weight = Field(description="factor of leg b")
    upper_usd: MaybeSpread = Field(default=None, description="sell the spread at or above; static thresholds")
    lower_usd: MaybeSpread = Field(default=None, description="buy the spread at or below; static thresholds")
    exit_short_usd: MaybeSpread = Field(default=None, description="buy a short spread back at or below; static thresholds")
    exit_long_usd: MaybeSpread = Field(default=None, description="sell a long spread out at or above; static thresholds")
    size_a_shares: int = Field(ge=1, le=OUCH_MOST_SHARES, description="leg a's order, for one unit")
    size_b_shares: int = Field(ge=1, le=OUCH_MOST_SHARES, description="leg b's order, for one unit")
    max_units: int = Field(
        default=1, ge=1, le=_highest("strategy", "pairs", "max_units"), description="units held at most, each way"
    )
    slippage_ticks: int = Field(
        default=0, ge=0, le=_highest("strategy", "pairs", "slippage"), description="how far beyond the touch a limit may go"
    )
    max_triggers: int = Field(
        default=0,
        ge=0,
        le=_highest("strategy", "pairs", "max_triggers"),
        description="order pairs that may leave until the pair is latched off, 0: no limit",
    )
    max_rejects: int = Field(
        default=0,
        ge=0,
        le=_highest("strategy", "pairs", "max_rejects"),
        description="order pairs in a row of which the exchange rejects an order until the pair is latched off, 0: no limit",
    )
    policy: Literal["stop", "complete", "unwind"] = Field(
        default="stop",
        description="where its orders were filled unequally. stop: it is latched off; complete: what is missing is bought and "
        "sold; unwind: what was filled is given back",
    )
    leg_tries: int = Field(
        default=3,
        ge=1,
        le=_highest("strategy", "pairs", "leg_tries"),
        description="orders to complete or unwind it, until it is latched off",
    )
    thresholds: Literal["static", "adaptive"] = Field(
        default="static", description="static: the four above; adaptive: so many standard deviations off a mean the card keeps"
    )
    alpha_shift: int | None = Field(
        default=None,
        ge=1,
        le=_highest("strategy", "pairs", "alpha_shift"),
        description="a new sample weighs 2**-alpha_shift; adaptive thresholds",
    )
    k_entry: Deviations = Field(default=None, description="where entries lie; adaptive thresholds")
    k_exit: Deviations = Field(default=None, description="where exits lie; adaptive thresholds")
    warmup_samples: int | None = Field(
        default=None,
        ge=1,
        le=_highest("strategy", "pairs", "warmup"),
        description="samples before the pair may fire, 2**alpha_shift at least; adaptive thresholds",
    )

    @property
    def adaptive(self) -> bool:
        """Whether the card finds the thresholds."""
        return self.thresholds == "adaptive"

    @property
    def title(self) -> str:
        """Name for reports."""
        return self.name or f"{self.leg_a}/{self.leg_b}"


class Limit(_Model):
    """What the gate lets through for one symbol. The defaults also hold for a pair's leg that has no entry."""

    symbol: Symbol = Field(description="symbol of a slot")
    enabled: bool = Field(default=True, description="false: no orders")
    max_quantity_shares: Quantity = Field(default=1_000, description="an order")
    max_notional_usd: Notional = Field(default=Decimal(500_000), description="an order")
    max_long_shares: Long = Field(default=10_000, description="position and open buys")
    max_short_shares: Short = Field(default=10_000, description="short position and open sells")
    reference_usd: Price = Field(
        default=Decimal(0),
        description="price to measure the collar from until the feed shows a trade, 0: none, which refuses orders until then",
    )
    collar_usd: Price = Field(default=Decimal(10), description="furthest from the reference")
    collar_bps: BasisPoints = Field(default=300, description="furthest from the reference, 1/10000 of it")
    located_shares: int = Field(
        default=0,
        ge=0,
        le=_highest("risk", "limits", "located"),
        description="that may be sold short in all, 0: no short sale; what is bought back does not count less",
    )


class Ceilings(_Model):
    """Highest limits, which the card locks until its reset. All or none: a table says each of them."""

    max_quantity_shares: Quantity = Field(description="see the limit of this name")
    max_notional_usd: Notional = Field(description="see the limit of this name")
    max_long_shares: Long = Field(description="see the limit of this name")
    max_short_shares: Short = Field(description="see the limit of this name")
    collar_usd: Price = Field(description="see the limit of this name")
    collar_bps: BasisPoints = Field(description="see the limit of this name")
    max_gross_usd: Total = Field(description="see the key of this name in [risk]")
    max_net_usd: Total = Field(description="see the key of this name in [risk]")
    max_loss_usd: Total = Field(description="see the key of this name in [risk]")
    max_open_orders: int = Field(ge=0, le=_highest("risk", "max_open_orders"), description="see the key of this name in [risk]")
    rate_tokens: int = Field(ge=0, le=_highest("risk", "rate_tokens"), description="see the key of this name in [risk]")


class Risk(_Model):
    """Limits and switches of the gate as a whole."""

    mode: Literal["off", "shadow", "live"] | None = Field(
        default=None, description="live where left out and there are pairs: a replay's exchange is a simulation"
    )
    rate_tokens: int = Field(
        default=100, ge=0, le=_highest("risk", "rate_tokens"), description="orders that may leave in a burst"
    )
    rate_interval_us: Microseconds = Field(default=Decimal(1_000), description="until one more may leave, 0: never")
    ignore_market_hours: bool = Field(default=False, description="true: trade outside the feed's market hours too")
    stale_after_ms: Milliseconds = Field(
        default=Decimal(0), description="without a message of the feed until nothing trades, 0: never; by the card's own clock"
    )
    watchdog_ms: int = Field(
        default=0,
        ge=0,
        le=_MILLISECONDS_MOST,
        description="without a heartbeat of the host until REDUCE_ONLY, as long again until KILLED, 0: never",
    )
    max_gross_usd: Total = Field(default=_TOTAL_MOST, description="gross notional of all symbols, at the worst")
    max_net_usd: Total = Field(default=_TOTAL_MOST, description="net notional of all symbols, each way, at the worst")
    max_loss_usd: Total = Field(default=_TOTAL_MOST, description="loss of the day; beyond it REDUCE_ONLY until re-armed")
    max_open_orders: int = Field(
        default=_highest("risk", "max_open_orders"), ge=0, le=_highest("risk", "max_open_orders"), description="of one symbol"
    )
    duplicate_window_us: Window = Field(
        default=Decimal(0), description="in which a symbol's last order is not sent again, 0: never mind"
    )
    slot_rate_orders: int = Field(
        default=0, ge=0, le=_highest("risk", "slot_rate_orders"), description="of one symbol in a window, 0: any number"
    )
    slot_rate_window_us: Window = Field(default=Decimal(1_000), description="of slot_rate_orders, 0: it never ends")
    reject_rate_orders: int = Field(
        default=0,
        ge=0,
        le=_highest("risk", "reject_rate_orders"),
        description="orders rejected in a window from which on none leaves, 0: any number",
    )
    cancel_rate_orders: int = Field(
        default=0,
        ge=0,
        le=_highest("risk", "cancel_rate_orders"),
        description="orders canceled in a window, in part or whole, from which on none leaves, 0: any number",
    )
    report_rate_window_us: Window = Field(default=Decimal(1_000), description="of these two, 0: it never ends")
    canary_shares: int = Field(
        default=0,
        ge=0,
        le=_highest("risk", "canary_quantity"),
        description="an order, of any symbol, at most while the card is tried out, 0: no such limit",
    )


class Strategy(_Model):
    """What holds for all pairs."""

    cooldown_us: Microseconds = Field(default=Decimal(100), description="rest of a pair after its orders ended")
    sample_interval_log2_ns: int = Field(
        default=24,
        ge=10,
        le=40,
        description="adaptive pairs are sampled once in 2**this ns of the feed's time: 20 is a millisecond, 30 a second",
    )


class Liquidation(_Model):
    """How every position is brought to nothing, slice by slice, once the loss limit was reached. Left out: it is not."""

    slice_shares: Quantity = Field(default=100, description="an order, at most")
    interval_ms: Annotated[Milliseconds, Ge(Decimal("0.001"))] = Field(
        default=Decimal(1), description="from one order of a symbol to the next at least, by the card's clock"
    )
    slippage_ticks: int = Field(
        default=5, ge=0, le=_highest("strategy", "pairs", "slippage"), description="how far beyond the touch a limit may go"
    )
    max_tries: int = Field(
        default=10, ge=1, le=1_000, description="orders in a row without a fill until a symbol is left as it is"
    )
    on_loss: bool = Field(default=True, description="true: it begins by itself when the loss limit was reached")


_OF_MODE: Mapping[str, tuple[str, ...]] = {
    "static": ("upper_usd", "lower_usd", "exit_short_usd", "exit_long_usd"),
    "adaptive": ("alpha_shift", "k_entry", "k_exit", "warmup_samples"),
}
"""Keys a pair has in one mode of its thresholds, all of them, and not in the other."""


class _File(_Model):
    slots: list[Slot] = []
    pairs: list[Pair] = []
    limits: list[Limit] = []
    line_b: LineB | None = None
    feed: FeedTable | None = None
    recovery: RecoveryTable | None = None
    risk: Risk | None = None
    ceilings: Ceilings | None = None
    strategy: Strategy | None = None
    liquidation: Liquidation | None = None


_ARRAYS: Mapping[str, type[_Model]] = {"slots": Slot, "pairs": Pair, "limits": Limit}
_TABLES: Mapping[str, type[_Model]] = {
    "line_b": LineB, "feed": FeedTable, "recovery": RecoveryTable, "risk": Risk, "ceilings": Ceilings, "strategy": Strategy,
    "liquidation": Liquidation,
}  # fmt: skip
_SECTIONS = {**_ARRAYS, **_TABLES}


@dataclass(frozen=True)
class Configuration:
    """A checked configuration.

    Parameters
    ----------
    slots : tuple of Slot
        In the order of slot numbers. Empty: watch every symbol the feed shows, up to the slot count.
    pairs : tuple of Pair
        In the order of pair numbers.
    limits : mapping of str to Limit
        By symbol, one for each slot that may trade.
    risk : Risk
        The gate as a whole.
    strategy : Strategy
        All pairs.
    ceilings : Ceilings, optional
        Highest limits of any symbol, and of all together.
    line_b : LineB, optional
        The feed's second line.
    feed : FeedTable
        How the lines are put together.
    recovery : RecoveryTable
        How what is missing on all of them is asked for.
    liquidation : Liquidation, optional
        How positions are brought to nothing.
    """

    slots: tuple[Slot, ...] = ()
    pairs: tuple[Pair, ...] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    risk: Risk = Risk()
    strategy: Strategy = Strategy()
    ceilings: Ceilings | None = None
    line_b: LineB | None = None
    feed: FeedTable = FeedTable()
    recovery: RecoveryTable = RecoveryTable()
    liquidation: Liquidation | None = None

    @property
    def mode(self) -> Mode:
        """Mode the card is to be armed in; OFF where there is nothing to trade."""
        if not self.pairs:
            return Mode.OFF
        return Mode[(self.risk.mode or "live").upper()]


def _range(info: FieldInfo, name: str) -> str:
    """What a field may hold, in words."""
    bounds: dict[type, Any] = {type(each): each for each in info.metadata}
    for each in info.metadata:
        for inner in getattr(each, "__iter__", lambda: ())():
            bounds[type(inner)] = inner
    if Ge in bounds and Le in bounds:
        text = f"{_plain(bounds[Ge].ge)} to {_plain(bounds[Le].le)}"
        return text + (f" in steps of {_plain(bounds[MultipleOf].multiple_of)}" if MultipleOf in bounds else "")
    if info.annotation is bool:
        return "true or false"
    if name == "thresholds":
        return '"static" or "adaptive"'
    if name == "policy":
        return '"stop", "complete" or "unwind"'
    if name == "mode":
        return '"off", "shadow" or "live"'
    if name == "name":
        return "text of at most 64 characters"
    if name == "address":
        return "224.0.0.0 to 239.255.255.255"
    return "1 to 8 printable ASCII characters without a space"


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, Sequence):
        return "an array"
    return str(value)


def _key(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


_FORMS = {"int_type": ", written as a whole number", "is_instance_of": ", written as a number"}
"""What to say of a value that is of another type than it has to be, which its range does not tell."""


def _problem(file: str, error: ErrorDetails) -> str:
    location = error["loc"]
    where = f"{file}: {_key(location)}"
    section = _SECTIONS.get(str(location[0])) if location else None
    name = str(location[-1])
    if error["type"] == "extra_forbidden":
        allowed = section.model_fields if section and len(location) > 1 else _File.model_fields
        return f"{where}: unknown key; allowed are {', '.join(allowed)}"
    if section is None or name not in section.model_fields:
        kind = "an array of tables" if name in _ARRAYS else "a table"
        return f"{where}: {_shown(error['input'])} was given; allowed is {kind}"
    allowed_values = _range(section.model_fields[name], name)
    if error["type"] == "missing":
        return f"{where}: missing; allowed are {allowed_values}"
    form = _FORMS.get(error["type"], "")
    return f"{where}: {_shown(error['input'])} was given; allowed are {allowed_values}{form}"


def _read(path: Path, problems: list[str]) -> _File:
    try:
        # Some editors put a byte order mark in front, which TOML does not know.
        return _File.model_validate(tomllib.loads(path.read_bytes().decode("utf-8-sig"), parse_float=Decimal))
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: not TOML: {error}")
    except ValidationError as error:
        problems.extend(_problem(str(path), each) for each in error.errors(include_url=False))
    return _File()


def parse_symbol(text: str) -> Slot:
    """Slot from ``NAME`` or ``NAME=LOCATE``; `ConfigError` names the allowed values."""
    name, _, locate = text.partition("=")
    values: dict[str, object] = {"symbol": name}
    if "=" in text:
        values["locate"] = int(locate) if locate.isascii() and locate.isdigit() else locate
    try:
        return Slot.model_validate(values)
    except ValidationError as error:
        problems = [_problem(f"--symbol {text}", each | {"loc": ("slots", *each["loc"])}) for each in error.errors()]
        raise ConfigError([problem.replace("slots.", "") for problem in problems]) from None


def load(files: Iterable[Path], geometry: Geometry, *, symbols: Iterable[str] = ()) -> Configuration:
    """Read and check a configuration.

    Parameters
    ----------
    files : iterable of Path
        TOML files, taken together.
    geometry : Geometry
        Sizes of the card it is for.
    symbols : iterable of str
        More slots, ``NAME`` or ``NAME=LOCATE``, as the command line gives them.

    Returns
    -------
    Configuration

    Raises
    ------
    ConfigError
        With every problem found.
    """
    problems: list[str] = []
    slots: list[tuple[str, Slot]] = []
    pairs: list[tuple[str, Pair]] = []
    limits: list[tuple[str, Limit]] = []
    tables: dict[str, dict[str, Any]] = {name: {} for name in _TABLES}
    for path in files:
        part = _read(path, problems)
        slots += [(f"{path}: slots[{number}]", each) for number, each in enumerate(part.slots)]
        pairs += [(f"{path}: pairs[{number}]", each) for number, each in enumerate(part.pairs)]
        limits += [(f"{path}: limits[{number}]", each) for number, each in enumerate(part.limits)]
        for name, given in tables.items():
            given |= {f"{path}: {name}": table} if (table := getattr(part, name)) else {}
    for text in symbols:
        try:
            slots.append((f"--symbol {text}", parse_symbol(text)))
        except ConfigError as error:
            problems += error.problems
    for given in tables.values():
        problems += [f"{where}: given twice; allowed is one of all files" for where in list(given)[1:]]
    if not slots:
        legs = dict.fromkeys(leg for _, pair in pairs for leg in (pair.leg_a, pair.leg_b))
        slots = [("", Slot(symbol=leg)) for leg in legs]
    _check_slots(slots, geometry, problems)
    known = {slot.symbol for _, slot in slots}
    _check_pairs(pairs, known, geometry, problems)
    _check_limits(limits, known, problems)
    own = {limit.symbol: limit for _, limit in limits}
    defaults = {
        getattr(pair, key): f'{where}.{key}: "{getattr(pair, key)}" has no limits of its own; of the default '
        for where, pair in reversed(pairs)
        for key in ("leg_a", "leg_b")
        if getattr(pair, key) not in own
    }
    placed = [(f"{where}.", limit) for where, limit in limits]
    placed += [(where, Limit(symbol=symbol)) for symbol, where in defaults.items()]
    canary = next((risk.canary_shares for risk in tables["risk"].values()), 0)
    for where, liquidation in tables["liquidation"].items():
        _check_slices(limits, where, liquidation, canary, problems)
    whole = [(f"{where}.", risk) for where, risk in tables["risk"].items()]
    for where, ceilings in tables["ceilings"].items():
        _check_ceilings(placed, where, ceilings, problems)
        _check_ceilings(whole or [("[risk] is missing; of the default ", Risk())], where, ceilings, problems)
    recovers = any(feed.recover for feed in tables["feed"].values())
    for where, recovery in tables["recovery"].items():
        if recovery.reload_feed and not recovers:
            problems.append(f"{where}.reload_feed: true was given; allowed only with recover of [feed]")
    if problems:
        raise ConfigError(problems)
    trading = dict.fromkeys(leg for _, pair in pairs for leg in (pair.leg_a, pair.leg_b))
    table = {name: next(iter(given.values())) for name, given in tables.items() if given}
    return Configuration(
        tuple(slot for _, slot in slots),
        tuple(pair for _, pair in pairs),
        {symbol: Limit(symbol=symbol) for symbol in trading} | own,
        **table,
    )


def _check_slots(slots: list[tuple[str, Slot]], geometry: Geometry, problems: list[str]) -> None:
    if len(slots) > geometry.slots:
        problems.append(f"{slots[geometry.slots][0]}: slot {len(slots)}; allowed are at most {geometry.slots} on this card")
    symbols: set[str] = set()
    locates: dict[int, str] = {}
    for where, slot in slots:
        if slot.symbol in symbols:
            problems.append(f'{where}.symbol: "{slot.symbol}" was given twice; allowed is one slot a symbol')
        symbols.add(slot.symbol)
        if slot.locate is not None and (other := locates.setdefault(slot.locate, slot.symbol)) != slot.symbol:
            problems.append(f"{where}.locate: {slot.locate} is {other}'s already; allowed is one symbol a locate")


def _check_pairs(pairs: list[tuple[str, Pair]], known: set[str], geometry: Geometry, problems: list[str]) -> None:
    if len(pairs) > geometry.pairs:
        problems.append(f"{pairs[geometry.pairs][0]}: pair {len(pairs)}; allowed are at most {geometry.pairs} on this card")
    titles: set[str] = set()
    for where, pair in pairs:
        if pair.title in titles:
            problems.append(f'{where}.name: "{pair.title}" was given twice; allowed is one pair a name')
        titles.add(pair.title)
        for key in ("leg_a", "leg_b"):
            if (symbol := getattr(pair, key)) not in known:
                problems.append(f'{where}.{key}: "{symbol}" was given; allowed are the slots {", ".join(sorted(known))}')
        if pair.leg_a == pair.leg_b:
            problems.append(f'{where}.leg_b: "{pair.leg_b}" was given; allowed is any slot but leg_a\'s')
        if pair.adaptive and not geometry.adaptive:
            problems.append(f'{where}.thresholds: "adaptive" was given; allowed is "static" on this card')
        if pair.policy != "stop" and not geometry.repair:
            problems.append(f'{where}.policy: "{pair.policy}" was given; allowed is "stop" on this card')
        _check_thresholds(where, pair, problems)


def _check_thresholds(where: str, pair: Pair, problems: list[str]) -> None:
    fields = Pair.model_fields
    for mode, keys in _OF_MODE.items():
        given = [key for key in keys if getattr(pair, key) is not None]
        if mode == pair.thresholds:
            problems += [f"{where}.{key}: missing; allowed are {_range(fields[key], key)}" for key in keys if key not in given]
        else:
            only = f'allowed only with thresholds = "{mode}"'
            problems += [f"{where}.{key}: {_plain(getattr(pair, key))} was given; {only}" for key in given]
    bounds: tuple[tuple[str, str, str, Decimal | int | None], ...] = (
        ("lower_usd", "below", "upper_usd", pair.upper_usd),
        ("exit_short_usd", "below", "upper_usd", pair.upper_usd),
        ("exit_long_usd", "above", "lower_usd", pair.lower_usd),
        ("k_exit", "below", "k_entry", pair.k_entry),
        ("warmup_samples", "from", "2**alpha_shift", None if pair.alpha_shift is None else 1 << pair.alpha_shift),
    )
    for key, sign, bound, limit in bounds:
        value = getattr(pair, key)
        if value is None or limit is None:
            continue
        if not {"below": value < limit, "above": value > limit, "from": value >= limit}[sign]:
            problems.append(f"{where}.{key}: {value} was given; allowed is anything {sign} {bound} ({limit})")


def _check_limits(limits: list[tuple[str, Limit]], known: set[str], problems: list[str]) -> None:
    seen: set[str] = set()
    for where, limit in limits:
        if limit.symbol not in known:
            problems.append(f'{where}.symbol: "{limit.symbol}" was given; allowed are the slots {", ".join(sorted(known))}')
        if limit.symbol in seen:
            problems.append(f'{where}.symbol: "{limit.symbol}" was given twice; allowed is one entry a symbol')
        seen.add(limit.symbol)


def _check_slices(
    limits: list[tuple[str, Limit]], where: str, terms: Liquidation, canary: int, problems: list[str]
) -> None:
    bounds = [(limit.max_quantity_shares, f"{limit.symbol}'s max_quantity_shares") for _, limit in limits]
    bounds += [(canary, "canary_shares")] if canary else []
    for most, whose in bounds:
        if terms.slice_shares > most:
            problems.append(f"{where}.slice_shares: {terms.slice_shares} was given; allowed are 1 to {most}, {whose}")


def _check_ceilings(
    limits: Sequence[tuple[str, Limit | Risk]], ceilings_at: str, ceilings: Ceilings, problems: list[str]
) -> None:
    for where, limit in limits:
        for key, info in Ceilings.model_fields.items():
            if key not in type(limit).model_fields:
                continue
            value, ceiling = getattr(limit, key), getattr(ceilings, key)
            if value > ceiling:
                low = next(each.ge for each in info.metadata if isinstance(each, Ge))
                problems.append(
                    f"{where}{key}: {_plain(value)} was given; allowed are {_plain(low)} to {_plain(ceiling)}, its ceiling in "
                    f"{ceilings_at}.{key}"
                )


def line_units(line: LineB | None) -> tuple[int, int] | None:
    """Address and port of a line."""
    return (int(IPv4Address(line.address)), line.port) if line else None


def price_units(usd: Decimal) -> int:
    """Dollars in units of 1/10000 dollar."""
    return int((usd * PRICE_UNITS).to_integral_value())


def spread_units(usd: Decimal) -> int:
    """Dollars of spread in units of 1/10000 dollar with 12 fraction bits, to the nearest."""
    return int((usd * PRICE_UNITS * WEIGHT_UNITS).to_integral_value())


def spread_usd(units: float) -> float:
    """Units of 1/10000 dollar with 12 fraction bits in dollars."""
    return units / (PRICE_UNITS * WEIGHT_UNITS)


def factor_units(factor: Decimal) -> int:
    """A number of standard deviations in units of 1/16."""
    return int(factor / _K_STEP)


def weight_units(weight: Decimal) -> int:
    """A weight in units of 1/4096, to the nearest."""
    return int((weight * WEIGHT_UNITS).to_integral_value())


def clocks(microseconds: Decimal, geometry: Geometry) -> int:
    """Microseconds in clocks, to the nearest."""
    return int((microseconds * geometry.clock_hz / 1_000_000).to_integral_value())


def legs_row(pair: Pair, slots: Mapping[str, int]) -> dict[str, int]:
    """Where a pair's legs are, as a row of the card's table; `slots` gives slot numbers by symbol."""
    return {"slot_a": slots[pair.leg_a], "slot_b": slots[pair.leg_b]}


def pair_row(pair: Pair) -> dict[str, int]:
    """A pair's parameters as a row of the card's table."""
    return {
        "enabled": int(pair.enabled),
        "weight_a": weight_units(pair.weight_a),
        "weight_b": weight_units(pair.weight_b),
        # Keys of the other mode are left out, and their columns not looked at.
        "upper": spread_units(pair.upper_usd or Decimal(0)),
        "lower": spread_units(pair.lower_usd or Decimal(0)),
        "exit_short": spread_units(pair.exit_short_usd or Decimal(0)),
        "exit_long": spread_units(pair.exit_long_usd or Decimal(0)),
        "size_a": pair.size_a_shares,
        "size_b": pair.size_b_shares,
        "max_units": pair.max_units,
        "slippage": pair.slippage_ticks,
        "max_triggers": pair.max_triggers,
        "max_rejects": pair.max_rejects,
        "adaptive": int(pair.adaptive),
        "alpha_shift": pair.alpha_shift or 0,
        "k_entry": factor_units(pair.k_entry or Decimal(0)),
        "k_exit": factor_units(pair.k_exit or Decimal(0)),
        "warmup": pair.warmup_samples or 0,
        "policy": int(LegPolicy[pair.policy.upper()]),
        "leg_tries": pair.leg_tries,
    }


def pairs_by_slot(rows: Sequence[Mapping[str, int]], geometry: Geometry) -> list[list[int]]:
    """Of each slot the pairs that hold it, in the order of the card's list."""
    lists: list[list[int]] = [[] for _ in range(geometry.slots)]
    for number, row in enumerate(rows):
        lists[row["slot_a"]].append(number)
        lists[row["slot_b"]].append(number)
    return lists


def limit_row(limit: Limit) -> dict[str, int]:
    """A limit as a row of the card's table."""
    return {"enabled": int(limit.enabled), "located": limit.located_shares} | _ceiled(limit)


def ceilings_row(ceilings: Ceilings) -> dict[str, int]:
    """Ceilings as a row of the card's table."""
    return _ceiled(ceilings) | _ceiled_registers(ceilings)


def _ceiled_registers(limits: Risk | Ceilings) -> dict[str, int]:
    """Ceilings of the whole card, or what is held against them, as its registers."""
    return {
        "max_gross": price_units(limits.max_gross_usd),
        "max_net": price_units(limits.max_net_usd),
        "max_loss": price_units(limits.max_loss_usd),
        "max_open_orders": limits.max_open_orders,
        "rate_tokens": limits.rate_tokens,
    }


def _ceiled(limits: Limit | Ceilings) -> dict[str, int]:
    """Ceilings of a symbol, or what of a limit is held against them, as the card's columns."""
    return {
        "max_quantity": limits.max_quantity_shares,
        "max_notional": price_units(limits.max_notional_usd),
        "max_long": limits.max_long_shares,
        "max_short": limits.max_short_shares,
        "collar": price_units(limits.collar_usd),
        "collar_bps": limits.collar_bps,
    }


def risk_registers(risk: Risk, geometry: Geometry) -> dict[str, int]:
    """What of `[risk]` is part of a set, as the card's registers; watchdog, market hours and canary are not."""
    return _ceiled_registers(risk) | {
        "rate_interval": clocks(risk.rate_interval_us, geometry),
        "stale_after": clocks(1_000 * risk.stale_after_ms, geometry),
        "duplicate_window": clocks(risk.duplicate_window_us, geometry),
        "slot_rate_orders": risk.slot_rate_orders,
        "slot_rate_window": clocks(risk.slot_rate_window_us, geometry),
        "reject_rate_orders": risk.reject_rate_orders,
        "cancel_rate_orders": risk.cancel_rate_orders,
        "report_rate_window": clocks(risk.report_rate_window_us, geometry),
    }


def strategy_registers(strategy: Strategy, geometry: Geometry) -> dict[str, int]:
    """What holds for all pairs, as the card's registers."""
    return {"cooldown": clocks(strategy.cooldown_us, geometry), "sample_interval": strategy.sample_interval_log2_ns}


def watchdog_clocks(risk: Risk, geometry: Geometry) -> int:
    """Clocks the host may be silent, 0: for ever."""
    return clocks(Decimal(1_000 * risk.watchdog_ms), geometry)


def feed_registers(feed: FeedTable, geometry: Geometry) -> dict[str, int]:
    """How the feed's lines are put together, as the card's registers."""
    return {"gap_wait": clocks(feed.gap_wait_us, geometry), "recover": int(feed.recover)}


def beyond_a_set(old: Configuration, new: Configuration) -> list[str]:
    """Keys in which two configurations differ and that no set of parameters and limits can change: what symbols, pairs and units
    are, and what is not the strategy's or the gate's."""
    found = [name for name in ("slots", "feed", "line_b", "ceilings") if getattr(old, name) != getattr(new, name)]
    fixed = ["mode", "watchdog_ms", "ignore_market_hours", "canary_shares"]
    found += [f"[risk] {key}" for key in fixed if getattr(old.risk, key) != getattr(new.risk, key)]
    if len(old.pairs) != len(new.pairs):
        return [*found, f"number of pairs, {len(old.pairs)} and {len(new.pairs)}"]
    for before, after in zip(old.pairs, new.pairs, strict=True):
        fixed = ["leg_a", "leg_b", "thresholds", "size_a_shares", "size_b_shares"]
        if before.adaptive:
            # Mean and variance are of one spread.
            fixed += ["weight_a", "weight_b"]
        found += [f"[[pairs]] {before.title}: {key}" for key in fixed if getattr(before, key) != getattr(after, key)]
    if old.limits.keys() != new.limits.keys():
        return [*found, "[[limits]]: symbols"]
    for symbol, limit in new.limits.items():
        if limit.reference_usd != old.limits[symbol].reference_usd:
            found.append(f"[[limits]] {symbol}: reference_usd")
    return found
