import pytest

from hdl.spec import events


@pytest.mark.parametrize("record", events.RECORDS.values(), ids=lambda record: record.name)
def test_records_are_whole_words_and_begin_alike(record):
    assert record.size % 4 == 0
    assert record.fields[: len(events.HEADER)] == events.HEADER
    assert record.size // 4 < 256
    assert all(field.size < 4 for field in record if field.name == "spare")


def test_kinds_stand_in_order_of_priority():
    assert list(events.RECORDS) == ["A", "F", "S", "O", "C", "V", "T", "G", "I", "B"]
