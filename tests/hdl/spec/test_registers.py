import random

import pytest

from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.registers import BLOCKS, WORD, Access, Register, RegisterMap, Table

GEOMETRIES = [*PRESETS.values(), Geometry(slots=2, pairs=1), Geometry(slots=1024, pairs=4096), Geometry(slots=33, pairs=65)]
TABLES = [entry for block in BLOCKS for entry in block.tables]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_no_word_belongs_to_two(geometry):
    owner = {}
    where = RegisterMap(geometry)
    for place in where:
        words = place.rows * place.entry.stride if isinstance(place.entry, Table) else place.entry.words
        for word in range(place.address, place.address + words):
            assert word not in owner, f"{place.entry.name} and {owner[word]}"
            owner[word] = place.entry.name
    assert max(owner) < 1 << where.address_bits
    assert set(where.places) == {(block.name, entry.name) for block in BLOCKS for entry in block.entries}


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_table_rows_are_plain_address_bits(geometry):
    for place in RegisterMap(geometry):
        if isinstance(place.entry, Table):
            stride, span = place.entry.stride, place.rows * place.entry.stride
            assert stride & (stride - 1) == 0
            assert stride >= place.entry.words
            assert place.address % (1 << (span - 1).bit_length()) == 0
            assert place.rows >= 1


def test_names_stand_once():
    assert len({block.name for block in BLOCKS}) == len(BLOCKS)
    for block in BLOCKS:
        names = [entry.name for entry in block.entries]
        assert len(names) == len(set(names))
        for table in block.tables:
            columns = [column.name for column in table.columns]
            assert len(columns) == len(set(columns))


def test_reset_values_fit():
    for block in BLOCKS:
        for register in block.registers:
            assert 0 <= register.reset < 1 << register.bits
            assert register.words == -(-register.bits // WORD)
            assert register.reset == 0 or register.access is not Access.RO


def test_host_knows_where_to_begin():
    where = RegisterMap(PRESETS["versa"])
    assert where["identity", "magic"].address == 0
    assert where["identity", "map_digest"].address == 1


def unpacked(table: Table, words: list[int]) -> dict[str, int]:
    """The row read back bit by bit, by the rule in the module's docstring: columns from bit 0 on."""
    bits = [word >> bit & 1 for word in words for bit in range(WORD)]
    values, at = {}, 0
    for column in table.columns:
        own = bits[at : at + column.bits]
        value = sum(bit << place for place, bit in enumerate(own))
        values[column.name] = value - (own[-1] << column.bits) if column.signed else value
        at += column.bits
    assert not any(bits[at:])
    return values


def limits(column):
    return (-(1 << column.bits - 1), (1 << column.bits - 1) - 1) if column.signed else (0, (1 << column.bits) - 1)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_survive_packing(table):
    source = random.Random(table.name)
    for _ in range(50):
        values = {column.name: source.choice([*limits(column), source.randint(*limits(column))]) for column in table.columns}
        words = table.pack(**values)
        assert len(words) == table.words
        assert all(0 <= word < 1 << WORD for word in words)
        assert unpacked(table, words) == values


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_values_that_do_not_fit_are_named(table):
    values = {column.name: 0 for column in table.columns}
    for column in table.columns:
        for value in (limits(column)[0] - 1, limits(column)[1] + 1):
            with pytest.raises(ValueError, match=f"table {table.name}: {column.name} was {value}, allowed are"):
                table.pack(**(values | {column.name: value}))
    with pytest.raises(ValueError, match=f"table {table.name}: columns given were"):
        table.pack(**values, unknown=0)


def test_labels_name_every_row():
    for table in TABLES:
        if table.labels:
            assert table.access is Access.RO
            assert len(set(table.labels)) == len(table.labels) == table.rows(PRESETS["versa"])


def test_words_of_wide_registers():
    assert Register("x", 80, Access.RW, "").words == 3
