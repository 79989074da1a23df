"""Geometries of which tests build whole cards. Each costs the suite a build, so they share few."""

from __future__ import annotations

from dataclasses import replace

from hdl.spec.geometry import PRESETS

WIDE = replace(PRESETS["versa"], width=8, adaptive=True, repair=True, line_rate=True)
"""The small card at eight bytes a beat, with all that `large_10g` has."""
GEOMETRIES = PRESETS | {"versa_10g": WIDE}
