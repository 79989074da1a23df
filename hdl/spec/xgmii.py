"""Control characters of the XGMII, and how frames stand on its lanes.

Source: IEEE 802.3-2022 clause 46.
"""

from __future__ import annotations

from hdl.spec import network

LANES = 8
"""Two transfers of the 32-bit interface a clock, as gateware meets it."""
IDLE = 0x07
START = 0xFB
TERMINATE = 0xFD
ERROR = 0xFE
START_LANES = (0, 4)
"""Lanes a frame can start in: lane 0 of either transfer."""
OPENING = bytes([START]) + network.PREAMBLE[1:]
"""Start character, preamble and start delimiter. Only the first is a control character."""
