import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.spec.layout import Field, Kind, Layout, LayoutError, by_code

EXAMPLE = Layout(
    "example",
    (
        Field("type", 1, Kind.CHAR),
        Field("count", 2),
        Field("change", 3, Kind.SINT),
        Field("name", 4, Kind.ALPHA),
        Field("tail", 2, Kind.RAW),
    ),
    code="x",
)


def test_bytes_stand_in_order_and_big_endian():
    packed = EXAMPLE.pack(count=0x0102, change=-2, name="ab", tail=b"\x00\xff")
    assert packed == b"x\x01\x02\xff\xff\xfeab  \x00\xff"
    assert EXAMPLE.size == len(packed) == 12
    assert [EXAMPLE.offset(field.name) for field in EXAMPLE] == [0, 1, 3, 6, 10]


@given(
    count=st.integers(0, 2**16 - 1),
    change=st.integers(-(2**23), 2**23 - 1),
    name=st.text("ABCxyz09 ", max_size=4),
    tail=st.binary(min_size=2, max_size=2),
    before=st.binary(max_size=5),
)
def test_what_was_packed_is_unpacked(count, change, name, tail, before):
    packed = EXAMPLE.pack(count=count, change=change, name=name, tail=tail)
    found = EXAMPLE.unpack(before + packed + b"later", at=len(before))
    assert found == {"type": "x", "count": count, "change": change, "name": name.rstrip(), "tail": tail}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"count": 65536}, "field count: 65536 does not fit 2 bytes"),
        ({"count": -1}, "field count: -1 does not fit 2 bytes"),
        ({"count": "7"}, "field count: '7' is not an integer"),
        ({"change": 1 << 23}, "field change: 8388608 does not fit 3 bytes"),
        ({"name": "abcde"}, "field name: 'abcde' is 5 bytes, allowed are 4"),
        ({"name": 7}, "field name: 7 is not text"),
        ({"tail": b"a"}, "field tail: b'a' is 1 bytes, allowed are 2"),
        ({"other": 1}, "layout example: no field other"),
    ],
)
def test_what_does_not_fit_is_named(changed, text):
    with pytest.raises(LayoutError) as caught:
        EXAMPLE.pack(**{"count": 1, "change": 1, "name": "", "tail": b"ab", **changed})
    assert str(caught.value) == text


def test_missing_values_and_short_bytes_are_named():
    with pytest.raises(LayoutError, match="layout example: no value for change, name, tail"):
        EXAMPLE.pack(count=1)
    with pytest.raises(LayoutError, match="layout example: 11 bytes at offset 1, needed are 12"):
        EXAMPLE.unpack(bytes(12), at=1)


def test_a_field_or_code_stands_once():
    with pytest.raises(LayoutError, match="layout twice: field a stands twice"):
        _ = Layout("twice", (Field("a", 1), Field("a", 1))).offsets
    with pytest.raises(LayoutError, match="two layouts share one code"):
        by_code(EXAMPLE, EXAMPLE)
