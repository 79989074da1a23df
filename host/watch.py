"""Which symbol sits in which slot: learnt from the feed's own messages, bound before the message that needs it goes out."""

from __future__ import annotations

from hdl.spec import itch
from host.config import Configuration
from host.inputs.itch_file import SIZES
from host.loader import Loader

_LOCATE = slice(itch.STOCK_DIRECTORY.offset("stock_locate"), itch.STOCK_DIRECTORY.offset("tracking_number"))
_DIRECTORY = itch.STOCK_DIRECTORY.code.encode()[0]
_NO_STOCK = b"\0\0"
# The locate of an IPO update does not say which stock it is about.
_NAMED = {
    layout.code.encode()[0]: (layout.size, layout.offset("stock"), layout.offset("stock") + layout.by_name["stock"].size)
    for layout in itch.MESSAGES.values()
    if "stock" in layout and layout is not itch.IPO_QUOTING_PERIOD_UPDATE
}


class Watch:
    """Binds slots to locates while the feed goes by.

    A directory message decides. Until there is one, a locate given beforehand holds, and any message that names its stock tells
    the locate of a symbol that has none. Without a watch list every locate gets a slot as it appears, as long as there are some.

    Parameters
    ----------
    loader : Loader
        Loaded card.
    configuration : Configuration
        What it was loaded with.
    """

    def __init__(self, loader: Loader, configuration: Configuration) -> None:
        self._loader = loader
        self._everything = not configuration.slots
        self._done: set[bytes] = set()
        """Locates about which nothing but a directory message can tell more."""
        self._nameless: dict[bytes, str] = {}
        self._directory: set[str] = set()
        self.locates = {slot.symbol: slot.locate or 0 for slot in configuration.slots}
        """Stock locate of each watched symbol, 0 where none is known."""
        self.unwatched = 0
        """Symbols seen for which there was no slot."""
        self.conflicts: list[str] = []
        """Where a locate given beforehand is not the directory's."""

    def see(self, message: bytes) -> None:
        """Look at a message before it goes out."""
        locate = message[_LOCATE]
        if locate in self._done and message[0] != _DIRECTORY:
            return
        if locate == _NO_STOCK or SIZES.get(message[:1]) != len(message):
            return
        symbol = self._symbol(message)
        if message[0] == _DIRECTORY and symbol:
            self._listed(symbol, locate)
        elif self._everything:
            self._appeared(symbol, locate)
        elif symbol:
            self._done.add(locate)
            if symbol in self.locates and not self.locates[symbol]:
                self._bind(symbol, locate)

    def settled(self, message: bytes) -> bool:
        """Whether no other message of this one's locate has to be seen, but directory messages."""
        return message[_LOCATE] in self._done

    @property
    def missing(self) -> list[str]:
        """Symbols of the watch list for which there is no locate."""
        return [symbol for symbol, locate in self.locates.items() if not locate]

    def _symbol(self, message: bytes) -> str:
        size, begin, end = _NAMED.get(message[0], (0, 0, 0))
        return message[begin:end].decode("latin-1").rstrip() if len(message) == size else ""

    def _listed(self, symbol: str, locate: bytes) -> None:
        if self._everything:
            self._appeared(symbol, locate)
        elif symbol in self.locates:
            number, given = int.from_bytes(locate, "big"), self.locates[symbol]
            if given and given != number:
                self.conflicts.append(f"{symbol}: locate {given} was given, the directory says {number}, which is used")
            if given != number:
                self._bind(symbol, locate)
            self._directory.add(symbol)
        else:
            self._displaced(symbol, locate)
        self._done.add(locate)

    def _displaced(self, symbol: str, locate: bytes) -> None:
        number = int.from_bytes(locate, "big")
        for other, given in self.locates.items():
            if given == number and other not in self._directory:
                self.conflicts.append(f"{other}: locate {given} was given, the directory says it is {symbol}'s; it is not used")
                self._loader.unbind(self._loader.slots[other])
                self.locates[other] = 0

    def _appeared(self, symbol: str, locate: bytes) -> None:
        if locate in self._nameless:
            if symbol:
                old = self._nameless.pop(locate)
                self._loader.rename(old, symbol)
                self.locates = {symbol if name == old else name: each for name, each in self.locates.items()}
                self._done.add(locate)
            return
        if locate in self._done:
            return
        number = int.from_bytes(locate, "big")
        name = symbol if symbol and symbol not in self.locates else f"{symbol}#{number}"
        if not self._loader.add(name, number):
            self.unwatched += 1
            self._done.add(locate)
            return
        self.locates[name] = number
        if symbol:
            self._done.add(locate)
        else:
            self._nameless[locate] = name

    def _bind(self, symbol: str, locate: bytes) -> None:
        number = int.from_bytes(locate, "big")
        self._loader.bind(self._loader.slots[symbol], number)
        self.locates[symbol] = number
