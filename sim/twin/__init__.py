"""The twin: what the card does in gateware, in compiled Python, bit for bit. `sim.twin.trading` is its trading half."""

from sim.twin.kernel import ROW
from sim.twin.receiver import Receiver
from sim.twin.twin import FramingError, Transition, Twin

__all__ = ["ROW", "FramingError", "Receiver", "Transition", "Twin"]
