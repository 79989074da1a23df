"""Clocks of the gateware that hang on how many bytes a beat has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from hdl.feed.moldudp64_receiver import MoldUdp64Receiver, message_width
from hdl.feed.resequencer import Resequencer
from hdl.itch.itch_decoder import ItchDecoder
from hdl.net.frame_filter import FrameFilter
from hdl.order.order_transmitter import FORM_BYTES
from hdl.order.segment_template import Form
from hdl.spec import network
from hdl.spec.geometry import Geometry

_OFFERED = 1
"""Clocks from an order to the first beat of its frame."""
_CLOSING = 3
"""Clocks of the XGMII behind a frame's last beat: check sequence, what it has in a second word, gap."""
_ACKNOWLEDGED = 2
"""From the verdict on a segment to the wish for an acknowledgment."""
_LOCATE_END = 2
"""Offset of the last byte of a message's locate."""
_NARROW_SLOT = 2
"""At a byte a beat the slot is known so many clocks later than the message would be, had it ended with its locate."""


class Answer(NamedTuple):
    """Clocks of a message."""

    som: int
    """As the card stamps its first beat."""
    eot: int
    """Its last beat."""
    slot: int
    """From which on the decoder shows its slot."""
    clock: int
    """Of the decoder's answer."""


@dataclass(frozen=True)
class Timing:
    """Clocks of a card of one width.

    Parameters
    ----------
    width : int
        Bytes a beat.
    """

    width: int

    def beats(self, size: int) -> int:
        """Beats of a frame without its check sequence, padded where it is short."""
        return -(-max(size, network.MINIMUM_FRAME) // self.width)

    def busy(self, form: Form) -> int:
        """Clocks from the start of a frame to the one in which the next may start."""
        if self.width == 1:
            around = len(network.PREAMBLE) + network.FCS_BYTES + network.INTERFRAME_GAP
        else:
            around = _CLOSING
        return _OFFERED + self.beats(FORM_BYTES[form]) + around

    @cached_property
    def acknowledge(self) -> int:
        """From the last beat of a segment to the wish for an acknowledgment."""
        return FrameFilter(width=self.width).verdict + _ACKNOWLEDGED

    @cached_property
    def decoded(self) -> int:
        """From the beat with the last byte of a message to the decoder's answer, where neither waits."""
        geometry = Geometry(width=self.width)
        feed = FrameFilter(width=self.width), MoldUdp64Receiver(width=self.width)
        stages = *feed, Resequencer(width=self.width, ring_messages=geometry.ring_messages), ItchDecoder(geometry=geometry)
        return sum(stage.latency for stage in stages)

    def answers(self, payload: int, messages: Iterable[tuple[int, int]]) -> Iterator[Answer]:
        """What becomes of the messages of a packet that is used before its end, in clocks from the frame's first beat on.

        Parameters
        ----------
        payload : int
            Where in its frame the packet begins.
        messages : iterable of (int, int)
            Where in the packet each of its messages begins and ends.
        """
        width, wide, before = self.width, message_width(self.width), -1
        for begin, end in messages:
            # Of the payload's last beat some bytes may fill up a beat of the message; the others follow in another, and those of
            # the next message behind them.
            whole = (end - 1) // width * width
            follows = (whole - begin) % wide + end - whole > wide
            before = eot = max(self._beat(payload, end - 1) + follows, before + 1)
            som = min(self._beat(payload, begin + wide - 1), eot)
            slot = self._beat(payload, begin + _LOCATE_END) + _NARROW_SLOT if width == 1 else som
            yield Answer(som, eot, slot + self.decoded, eot + self.decoded)

    def _beat(self, payload: int, byte: int) -> int:
        """When a byte of a packet is given: with the last of its beat, whether that comes or not."""
        return (payload + byte // self.width * self.width + self.width - 1) // self.width
