"""Sets a card under cocotb up over its control bus, with the host's own loader."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Mode
from hdl.spec.registers import RegisterMap, Table
from host.loader import Loader, OrderSession
from tests.host.fake_card import FakeCard
from tests.support.desk import CONFIGURATION, Market
from tests.support.stepper import Stepper


class Recorder(FakeCard):
    """Keeps what the loader writes as accesses of the control bus."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self._map = RegisterMap(self.geometry)
        self.accesses: list[tuple[int, int]] = []

    def _words(self, address: int, words: list[int]) -> None:
        self.accesses += [(address + offset, word) for offset, word in enumerate(words)]

    def write(self, block: str, name: str, value: int) -> None:
        super().write(block, name, value)
        place = self._map[block, name]
        self._words(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(place.entry.words)])

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        super().write_row(block, table, row, **columns)
        place = self._map[block, table]
        assert isinstance(place.entry, Table)
        self._words(place.address + row * place.entry.stride, place.entry.pack(**columns))

    def pulse(self, block: str, name: str) -> None:
        super().pulse(block, name)
        self._words(self._map[block, name].address, [1])


async def load(bench: Stepper, market: Market, geometry: Geometry) -> None:
    """Load and arm as the host does."""
    card = Recorder(geometry)
    loader = Loader(card)
    loader.load(CONFIGURATION, market.feed, OrderSession())
    loader.arm(Mode.LIVE)
    for address, word in card.accesses:
        bench.set("control__address", address)
        bench.set("control__write_data", word)
        bench.set("control__write", 1)
        await bench.step()
        bench.set("control__write", 0)
        # The pulse that clears the book takes a clock a table row.
        await bench.step(40)


def check_orders(raw: bytes) -> None:
    """A frame, without its check sequence, that holds the two orders of `desk`; its sums are right by scapy."""
    ether = Ether(raw)
    sums = ether[IP].chksum, ether[TCP].chksum
    del ether[IP].chksum, ether[TCP].chksum
    again = Ether(bytes(ether))
    assert (again[IP].chksum, again[TCP].chksum) == sums
    payload = bytes(again[TCP].payload)
    assert [payload[at + 8 : at + 9] + payload[at + 13 : at + 16] for at in (0, 50)] == [b"TAAA", b"BBBB"]
