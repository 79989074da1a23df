"""The list of planted bugs is usable, and what runs it tells a caught bug from one that nobody notices."""

from __future__ import annotations

import pytest

from tests.support.script import load

mutate = load("mutate")
EVERY = mutate.every()
NOTHING_CHANGES = mutate.Mutant(
    name="a comment",
    file="hdl/net/internet_checksum.py",
    find="complement sum of IPv4",
    replace="complement sums of IPv4",
    tests=("tests/hdl/net/test_internet_checksum.py",),
)


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_a_mutant_fits_its_source_and_its_tests_exist(mutant):
    mutant.mutated((mutate.ROOT / mutant.file).read_text())
    for test in mutant.tests:
        assert (mutate.ROOT / test.split("::")[0]).exists()


def test_names_are_used_once():
    names = [(mutant.file, mutant.name) for mutant in EVERY]
    assert len(names) == len(set(names))


def test_a_planted_bug_is_caught_and_a_harmless_change_is_not(capsys):
    bug = next(mutant for mutant in EVERY if mutant.file == NOTHING_CHANGES.file)
    assert mutate.run([bug, NOTHING_CHANGES]) == [mutate.Outcome.CAUGHT, mutate.Outcome.SURVIVED]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["caught", "survived"]


def test_tests_that_cannot_run_prove_nothing(tmp_path):
    mutate.copy_project(tmp_path)
    absent = mutate.Mutant(**{**vars(NOTHING_CHANGES), "tests": ("tests/hdl/net/test_internet_checksum.py::test_absent",)})
    assert mutate.try_one(absent, tmp_path) is mutate.Outcome.BROKEN


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ("no such text", "", "0 times"),
        ("m.d.sync", "m.d.comb", r"\d times"),
        ("class InternetChecksum", "class InternetChecksum", "same"),
    ],
)
def test_a_mutant_that_does_not_fit_is_refused(find, replace, message):
    source = (mutate.ROOT / NOTHING_CHANGES.file).read_text() + "m.d.sync m.d.sync"
    mutant = mutate.Mutant(**{**vars(NOTHING_CHANGES), "find": find, "replace": replace})
    with pytest.raises(mutate.MutantError, match=message):
        mutant.mutated(source)


def test_an_entry_with_other_keys_is_refused(tmp_path):
    path = tmp_path / "list.toml"
    path.write_text('[[mutant]]\nname = "x"\n')
    with pytest.raises(mutate.MutantError, match=r"list\.toml: mutant 1"):
        mutate.read(path)


@pytest.mark.parametrize("words", [["no-such-mutant"], ["--part", "3/2"]])
def test_what_names_no_mutant_is_an_error(words):
    try:
        code = mutate.main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2


def test_parts_cover_the_list_once():
    parts = [mutate.chosen(EVERY, [], (number, 3)) for number in (1, 2, 3)]
    assert sorted(repr(mutant) for part in parts for mutant in part) == sorted(map(repr, EVERY))
