"""Reads the card's ledger word by word, and tells whether what was read is of one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from hdl.spec.reasons import OrderState, TradingState
from hdl.spec.registers import LEDGER_ORDER, LEDGER_SLOT, Table, inspected
from host.card import Card, CardError
from host.exposure import read_sums
from host.snapshot import OPEN, SIDES, Snapshot

_POLLS = 1 << 10
"""Reports and orders go first."""
_TRIES = 8


def _valid(found: dict[str, object]) -> Snapshot:
    """`CardError` where what was read cannot be."""
    try:
        return Snapshot.model_validate(found)
    except ValidationError as error:
        raise CardError(f"what the card's ledger holds cannot be: {error.errors()[0]['msg']}") from error


class LedgerPort:
    """The register behind which the ledger shows what it holds.

    Parameters
    ----------
    card : Card
        The card.
    """

    def __init__(self, card: Card) -> None:
        self._card = card

    def row(self, view: Table, index: int) -> dict[str, int]:
        """A row; its words are of one moment where nothing was booked meanwhile, see `changes`."""
        return view.unpack([self._word(view, index, word) for word in range(view.words)])

    @property
    def changes(self) -> int:
        """Times something was booked, modulo 2**32."""
        return self._card.read("risk", "ledger_changes")

    def _word(self, view: Table, index: int, word: int) -> int:
        asked = inspected(view, index, word)
        self._card.write("risk", "inspect_ledger", asked)
        for _ in range(_POLLS):
            if self._card.read("risk", "inspect_ledger") == asked:
                return self._card.read("risk", "inspect_ledger_word")
        raise CardError(f"the card did not show word {word} of {view.name} {index}")

    def snapshot(self, symbols: Sequence[str], marks: Mapping[str, int]) -> Snapshot:
        """All of it, of one moment.

        `CardError` where orders and reports keep coming, or something is held where no symbol is.

        Parameters
        ----------
        symbols : sequence of str
            By slot; empty where nothing is watched.
        marks : mapping of str to int
            Price at which a symbol counts, 1/10000 dollar; of others the average price stands for it.
        """
        for _ in range(_TRIES):
            # The number moves some clocks before its order is entered: read inside, it tells of one that is on its way.
            before, number = self.changes, self._number
            found = self._whole(symbols, marks, number)
            if self._number == number and self.changes == before:
                return _valid(found)
        raise CardError(f"orders and reports kept coming: {_TRIES} times what was read of the ledger was not of one moment")

    @property
    def _number(self) -> int:
        return self._card.read("risk", "next_user_ref_num")

    def _whole(self, symbols: Sequence[str], marks: Mapping[str, int], number: int) -> dict[str, object]:
        slots = []
        for slot, symbol in enumerate(symbols):
            if symbol:
                slots.append(self._slot(slot, symbol, marks))
            elif held := {name: value for name, value in self.row(LEDGER_SLOT, slot).items() if value}:
                raise CardError(f"slot {slot} holds something, and no symbol is known to be in it: {held}")
        card = self._card
        return {
            "next_user_ref_num": number,
            "trading_state": TradingState(card.read("risk", "trading_state")).name.lower(),
            "loss_reached": bool(card.read("risk", "loss_reached")),
            **read_sums(card),
            "slots": tuple(slots),
            "orders": tuple(self._orders(symbols, number)),
        }

    def _slot(self, slot: int, symbol: str, marks: Mapping[str, int]) -> dict[str, object]:
        row = self.row(LEDGER_SLOT, slot)
        average = row["entry_notional"] // row["entry_shares"] if row["entry_shares"] else 0
        return row | {"symbol": symbol, "mark": marks.get(symbol) or average}

    def _orders(self, symbols: Sequence[str], number: int) -> list[dict[str, object]]:
        """Open orders, by number."""
        left, places = self._card.read("risk", "orders_open"), self._card.geometry.open_orders
        found: dict[int, dict[str, object]] = {}
        for back in range(1, places + 1):
            if not left:
                break
            row = self.row(LEDGER_ORDER, (number - back) % places)
            if (state := OrderState(row["state"])) in OPEN:
                left -= 1
                found[row["user_ref_num"]] = {
                    "user_ref_num": row["user_ref_num"],
                    "symbol": symbols[row["slot"]],
                    "pair": None if row["single"] else row["pair"],
                    "side": SIDES[row["side"] + row["short"]],
                    "open_shares": row["open"],
                    "state": state.name.lower(),
                }
        return [found[each] for each in sorted(found)]
