"""The twin: what decoder and book do in gateware, in compiled Python, bit for bit and as fast as a core can."""

from sim.twin.kernel import ROW
from sim.twin.receiver import Receiver
from sim.twin.twin import FramingError, Transition, Twin

__all__ = ["ROW", "FramingError", "Receiver", "Transition", "Twin"]
