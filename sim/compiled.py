"""Python compiled by numba, kept under the build folder."""

from __future__ import annotations

from pathlib import Path

import numba

from sim.tools import BUILD, digest, version

_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = (
    "hdl/spec/*.py", "hdl/book/ticks.py", "hdl/itch/itch_decoder.py", "sim/compiled.py", "sim/generator.py", "sim/twin/*.py",
    "sim/twin/trade/*.py",
)  # fmt: skip
_TEXTS = [path.read_bytes() for pattern in _SOURCES for path in sorted(_ROOT.glob(pattern))]

# To tell whether what it kept is stale numba looks only at the file of a function; constants come from others too.
numba.config.CACHE_DIR = str(BUILD / "numba" / digest(version("numba"), *_TEXTS))

entry = numba.njit(cache=True)
"""A function that Python calls."""
part = numba.njit(forceinline=True)
"""A function that only compiled ones call; it becomes part of them."""
apart = numba.njit(cache=True)
"""One that is called seldom and stays a call, by compiled ones and by Python."""
