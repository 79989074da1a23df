"""What a card's ledger held at one moment: kept in a file, and brought to a card that starts again."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hdl.spec.reasons import OrderState, TradingState
from hdl.spec.registers import RISK, Column
from host.config import PRICE_UNITS, ConfigError

VERSION = 1
SIDES = ("buy", "sell", "sell short")
OPEN = (OrderState.SENT, OrderState.LIVE)
_CHECKSUM = "checksum"
_COLUMNS = {column.name: column for table in RISK.tables if table.name == "reload" for column in table.columns}


def _range(column: Column) -> Any:
    low, high = (-(1 << column.bits - 1), (1 << column.bits - 1) - 1) if column.signed else (0, (1 << column.bits) - 1)
    return Field(ge=low, le=high, strict=True)


_Count = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
_Sum = Annotated[int, Field(strict=True)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlotLedger(_Model):
    """One symbol.

    Parameters
    ----------
    symbol : str
        Name.
    position : int
        Shares.
    cash : int
        What fills cost and brought, 1/10000 dollar.
    entry_shares, entry_notional : int
        Shares of the fills that made the position greater since it was 0, and these times their prices; 0 where it is 0.
    mark : int
        Price at which it counts until the feed shows one, 1/10000 dollar.
    shorts : int
        Shares sold short that count against those located for the day.
    open_buys, open_sells, orders : int
        Open shares, and orders.
    """

    symbol: Annotated[str, Field(min_length=1, max_length=8)]
    position: Annotated[int, _range(_COLUMNS["position"])]
    cash: Annotated[int, _range(_COLUMNS["cash"])]
    entry_shares: Annotated[int, _range(_COLUMNS["entry_shares"])]
    entry_notional: Annotated[int, _range(_COLUMNS["entry_notional"])]
    mark: Annotated[int, _range(_COLUMNS["price"])]
    shorts: Annotated[int, _range(_COLUMNS["shorts"])] = 0
    open_buys: _Count = 0
    open_sells: _Count = 0
    orders: _Count = 0

    @model_validator(mode="after")
    def _entered(self) -> Self:
        if self.position == 0 and (self.entry_shares or self.entry_notional):
            raise ValueError(f"{self.symbol}: entry figures of no position; allowed is 0")
        if self.entry_shares < abs(self.position):
            least = abs(self.position)
            raise ValueError(f"{self.symbol}: entry_shares: {self.entry_shares} given, allowed is the position, {least}, or more")
        return self

    @property
    def average_usd(self) -> float | None:
        """Average price at which the position was entered, `None` where there is none."""
        return average_usd(self.entry_notional, self.entry_shares)


class OpenOrder(_Model):
    """An own order that has not ended.

    Parameters
    ----------
    user_ref_num : int
        Its number.
    symbol : str
        Name.
    pair : int, optional
        Pair it is of; none where the host wrote it.
    side : str
        One of `SIDES`.
    open_shares : int
        Shares that may still be filled.
    state : str
        ``sent`` or ``live``.
    """

    user_ref_num: _Count
    symbol: str
    pair: _Count | None
    side: Literal["buy", "sell", "sell short"]
    open_shares: _Count
    state: Literal["sent", "live"]


class Snapshot(_Model):
    """All that a ledger held at one moment.

    Parameters
    ----------
    version : int
        Of this form.
    next_user_ref_num : int
        Number of the next order: no card may go on from a lower one.
    trading_state : str
        State of the card.
    loss_reached : bool
        The loss limit was reached and not re-armed.
    pnl, gross, net_long, net_short : int
        The card's sums as they were told, 1/10000 dollar; they follow the marks, and are not loaded.
    slots : tuple of SlotLedger
        Every symbol.
    orders : tuple of OpenOrder
        Every open order.
    """

    version: Literal[1] = 1
    next_user_ref_num: _Count
    trading_state: Literal["active", "reduce_only", "halted", "killed"]
    loss_reached: bool = False
    pnl: _Sum = 0
    gross: _Sum = 0
    net_long: _Sum = 0
    net_short: _Sum = 0
    slots: tuple[SlotLedger, ...]
    orders: tuple[OpenOrder, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        twice = [symbol for symbol, count in Counter(slot.symbol for slot in self.slots).items() if count > 1]
        if twice:
            raise ValueError(f"slots: {', '.join(twice)} given more than once; allowed is once")
        known = {slot.symbol for slot in self.slots}
        for order in self.orders:
            if order.symbol not in known:
                raise ValueError(f"orders: {order.user_ref_num}: {order.symbol} is no symbol of slots")
        for slot in self.slots:
            own = [order for order in self.orders if order.symbol == slot.symbol]
            for name, found in (
                ("open_buys", sum(order.open_shares for order in own if order.side == "buy")),
                ("open_sells", sum(order.open_shares for order in own if order.side != "buy")),
                ("orders", len(own)),
            ):
                if (given := getattr(slot, name)) != found:
                    raise ValueError(f"slots: {slot.symbol}: {name}: {given} was given, its orders make {found}")
        return self

    @property
    def state(self) -> TradingState:
        """Trading state of the card."""
        return TradingState[self.trading_state.upper()]


def average_usd(notional: int, shares: int) -> float | None:
    """Average price in dollars, `None` of no shares."""
    return notional / shares / PRICE_UNITS if shares else None


def _checksum(values: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def save(snapshot: Snapshot, path: Path) -> None:
    """Write a file, whole or not at all; `OSError` where it cannot be."""
    values = snapshot.model_dump(mode="json")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w") as file:
            file.write(json.dumps(values | {_CHECKSUM: _checksum(values)}, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path) -> Snapshot:
    """Read a file; `ConfigError` with file, key, value, and what is allowed."""
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: not JSON: {error}"]) from None
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: not a ledger's snapshot: allowed is an object"])
    if (version := values.get("version")) != VERSION:
        raise ConfigError([f"{path}: version: {version!r} was given, allowed is {VERSION}"])
    given = values.pop(_CHECKSUM, None)
    if given != (found := _checksum(values)):
        raise ConfigError([f"{path}: checksum: {given!r} was given, what the file holds makes {found}: it was changed or cut"])
    try:
        return Snapshot.model_validate(values)
    except ValidationError as error:
        raise ConfigError([f"{path}: {_where(each['loc'])}{_told(dict(each))}" for each in error.errors()]) from None


def _where(place: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""


def _told(problem: Mapping[str, Any]) -> str:
    given, text = problem["input"], problem["msg"].removeprefix("Value error, ")
    return text if isinstance(given, dict | list | tuple | BaseModel) else f"{given!r} was given: {text}"
