"""The template's own arithmetic, against scapy's checksum."""

from __future__ import annotations

import random

import pytest
from scapy.utils import checksum

from hdl.order.segment_template import Form, Source, Template, fixed_sum
from hdl.spec import network


def test_fixed_sum_is_the_internet_checksum() -> None:
    rng = random.Random(1)
    for size in (2, 7, 20, 121):
        template = Template(size)
        raw = bytes(rng.choice((0, 255, rng.randrange(256))) for _ in range(size))
        others = [bytes(rng.randrange(256) for _ in range(size)) for _ in list(Form)[1:]]
        layout = network.Layout("run", tuple(network.Field(f"byte{place}", 1) for place in range(size)))
        template.put(0, layout, **{f"byte{place}": (raw[place], *(other[place] for other in others)) for place in range(size)})
        for form, octets in zip(Form, (raw, *others), strict=True):
            assert fixed_sum(template.octets, form) ^ 0xFFFF == checksum(octets)


def test_a_hole_is_named() -> None:
    template = Template(network.ETHERNET.size)
    template.put(0, network.ETHERNET, Source.FIXED, destination=bytes(6), source=bytes(6))
    with pytest.raises(ValueError, match=r"template: no value for bytes \[12, 13\]"):
        _ = template.octets
