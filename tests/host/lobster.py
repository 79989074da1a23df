"""A real morning in LOBSTER's form, encoded again as ITCH (derived data), with LOBSTER's own book as the answer."""

from __future__ import annotations

import csv
from collections import Counter

from tests.host.records import add, cancel, delete, executed, trade
from tests.support.data import require

_DAY = "lobster/AAPL_2012-06-21_34200000_57600000_{}_10.head.csv"
_LEVELS = 10
_SYMBOL, _LOCATE = "AAPL", 1
_ANONYMOUS = 1 << 40
_NEW, _CANCEL, _DELETE, _EXECUTE, _HIDDEN = 1, 2, 3, 4, 5


def _table(kind: str) -> list[list[str]]:
    with require(_DAY.format(kind)).open(newline="") as file:
        return list(csv.reader(file))


def derived() -> tuple[list[bytes], dict[int, tuple[int, int, int, int]]]:
    """Messages, and the touch (bid price and shares, ask price and shares) that LOBSTER has after some of them.

    The file tells only what happens within ten levels, so orders turn up of which it never said that they were entered. Each of
    these is put in, as large as all that is taken from it, when LOBSTER first shows so many shares at its level; at the levels
    shown before the first event one more order stands for the rest.
    """
    events = [(line[0], *map(int, line[1:6])) for line in _table("message")]
    book = [_levels(line) for line in _table("orderbook")]
    untold: dict[int, list[int]] = {}
    told = set()
    for _, kind, reference, shares, price, direction in events:
        if kind == _NEW:
            told.add(reference)
        elif kind in (_CANCEL, _DELETE, _EXECUTE) and reference not in told:
            untold.setdefault(reference, [direction, price, 0])[2] += shares
    before = dict(book[0])
    first = events[0]
    assert first[1] == _NEW
    before[first[5], first[4]] -= first[3]
    for direction, price, shares in untold.values():
        if (direction, price) in before:
            before[direction, price] -= shares
    messages = []
    ours: Counter[tuple[int, int]] = Counter()
    for number, ((direction, price), rest) in enumerate(before.items()):
        assert rest >= 0, f"level {price} shows fewer shares than are taken from it later"
        ours[direction, price] = rest
        if rest:
            messages.append(_add(_ANONYMOUS + number, direction, price, rest))
    touches = {}
    for number, (seconds, kind, reference, shares, price, direction) in enumerate(events):
        ours[direction, price] += {_NEW: shares, _HIDDEN: 0}.get(kind, -shares)
        for other, (side, at, size) in list(untold.items()):
            if book[number].get((side, at), 0) >= ours[side, at] + size:
                messages.append(_add(other, *untold.pop(other)))
                ours[side, at] += size
        time = _nanoseconds(seconds)
        if kind == _NEW:
            messages.append(_add(reference, direction, price, shares, time))
        elif kind == _CANCEL:
            messages.append(cancel(_LOCATE, reference, shares, time))
        elif kind == _DELETE:
            messages.append(delete(_LOCATE, reference, time))
        elif kind == _EXECUTE:
            messages.append(executed(_LOCATE, reference, shares, number, time))
        else:
            assert kind == _HIDDEN
            messages.append(trade(_SYMBOL, _LOCATE, shares, price, number, time))
        bid = max(level for level in book[number] if level[0] == 1)
        ask = min((level for level in book[number] if level[0] == -1), key=lambda level: level[1])
        touches[len(messages) - 1] = (bid[1], book[number][bid], ask[1], book[number][ask])
    return messages, touches


def _levels(line: list[str]) -> dict[tuple[int, int], int]:
    """Shares by direction and price."""
    values = list(map(int, line))
    levels = {}
    for at in range(0, 4 * _LEVELS, 4):
        ask_price, ask_shares, bid_price, bid_shares = values[at : at + 4]
        levels[-1, ask_price], levels[1, bid_price] = ask_shares, bid_shares
    return levels


def _add(reference: int, direction: int, price: int, shares: int, time: int = 0) -> bytes:
    return add(_SYMBOL, _LOCATE, reference, "B" if direction > 0 else "S", shares, price, time)


def _nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
