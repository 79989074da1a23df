"""Every ITCH message against itchfeed, a decoder by another hand, and against what the exchange really sent."""

import random

import pytest
from itch.messages import messages as judges

from hdl.spec import itch
from hdl.spec.layout import Kind, Layout
from tests.support import data

NAMES = {
    "auction_collar_extention": "extension",
    "auction_collar_reference_price": "collar_ref_price",
    "buy_sell_indicator": "side",
    "current_reference_price": "ref_price",
    "etp_leverage_factor": "etp_leverage",
    "financial_status_indicator": "financial_status",
    "ipo_release_qualifier": "release_qualifier",
    "ipo_release_time": "release_time",
    "level1_price": "level_1",
    "level2_price": "level_2",
    "level3_price": "level_3",
    "lower_auction_collar_price": "lower_collar",
    "lower_price_range_collar": "lower_collar",
    "luld_ref": "luld_tier",
    "market_maker_mode": "mm_mode",
    "market_participant_state": "mp_state",
    "maximum_allowable_price": "max_price",
    "minimum_allowable_price": "min_price",
    "near_execution_price": "near_exec_price",
    "near_execution_time": "near_exec_time",
    "new_order_reference_number": "new_order_ref",
    "open_eligibility_status": "open_eligibility",
    "operational_halt_action": "halt_action",
    "order_reference_number": "order_ref",
    "primary_market_maker": "primary_mm",
    "short_sale_threshold_indicator": "short_sale_threshold",
    "upper_auction_collar_price": "upper_collar",
    "upper_price_range_collar": "upper_collar",
    "variation_indicator": "price_variation",
}
"""itchfeed's names where ours differ."""

NUMBERS = (Kind.UINT, Kind.PRICE, Kind.PRICE8)


def our_name(layout: Layout, name: str) -> str:
    """Our name of a field of itchfeed's."""
    if layout is itch.ORDER_REPLACE and name == "order_reference_number":
        return "orig_order_ref"
    return NAMES.get(name, name)


def random_values(layout: Layout, source: random.Random) -> dict:
    """A value for every field but the type; text fills its field, so that no padding hides a wrong border."""
    values = {}
    for field in layout:
        if field.kind in NUMBERS:
            values[field.name] = source.randrange(1 << 8 * field.size)
        else:
            values[field.name] = "".join(source.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=field.size))
    del values["type"]
    return values


def as_judged(value: object) -> object:
    """A value in the form itchfeed gives it."""
    return value.encode() if isinstance(value, str) else value


def judged(layout: Layout, raw: bytes) -> dict:
    """What itchfeed reads, under our names."""
    return {our_name(layout, name): value for name, value in vars(judges[raw[:1]](raw)).items()}


def test_every_type_is_here():
    assert {code.encode() for code in itch.MESSAGES} == set(judges)
    assert len(itch.MESSAGES) == 23


@pytest.mark.parametrize("code", itch.MESSAGES)
def test_itchfeed_reads_what_we_pack(code):
    layout, source = itch.MESSAGES[code], random.Random(code)
    for _ in range(50):
        values = random_values(layout, source)
        assert judged(layout, layout.pack(**values)) == {name: as_judged(value) for name, value in values.items()}


@pytest.mark.parametrize("code", itch.MESSAGES)
def test_we_read_what_itchfeed_packs(code):
    layout, source = itch.MESSAGES[code], random.Random(code)
    for _ in range(50):
        judge = judges[code.encode()](code.encode() + bytes(layout.size - 1))
        values = random_values(layout, source)
        for name in vars(judge):
            setattr(judge, name, as_judged(values[our_name(layout, name)]))
        assert layout.unpack(judge.to_bytes()) == {"type": code, **values}


def check_real(message: bytes) -> None:
    layout = itch.MESSAGES[chr(message[0])]
    assert len(message) == layout.size
    ours = layout.unpack(message)
    assert layout.pack(**ours) == message
    theirs = {
        name: value.decode("latin-1").rstrip(" ") if layout.by_name[name].kind is Kind.ALPHA else
        value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in judged(layout, message).items()
    }
    assert {"type": layout.code, **theirs} == ours


def test_real_morning_of_one_stock():
    messages = list(data.records(data.require(data.AAPL)))
    assert len(messages) == 10_000
    for message in messages:
        check_real(message)
    locates = {itch.MESSAGES[chr(message[0])].unpack(message)["stock_locate"] for message in messages}
    assert locates <= {0, 13}


@pytest.mark.parametrize("folder", [data.ITCH_TYPES, data.ITCH_WIRE])
def test_real_captures(folder):
    seen = set()
    for path in data.captures(folder):
        for frame in data.frames(path):
            for message in data.blocks(data.udp_payload(frame)):
                check_real(message)
                seen.add(chr(message[0]))
    assert seen >= set("ADEUHIL")


def test_only_what_carries_an_order_changes_the_book():
    with_order = {code for code, layout in itch.MESSAGES.items() if {"order_ref", "orig_order_ref"} & set(layout.offsets)}
    # A trade print names an order too, but a hidden one: it is not in the book.
    assert with_order - {"P"} == set(itch.BOOK_TYPES)
