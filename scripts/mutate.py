"""Plants listed bugs in the gateware, one at a time, in a copy of the project, and runs the tests that must notice.

The list is `tests/mutants/*.toml`. A bug no test notices is a hole in the tests. Exit code 0: all were caught; 1: some were not;
2: the list itself is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "tests" / "mutants"
COPIED = ("hdl", "sim", "host", "tests", "scripts", "constraints", "firmware", "docs", "pyproject.toml", "README.md")
KEYS = {"name", "file", "find", "replace", "tests"}
_TIME_LIMIT_S = 900
"""A test that hangs has noticed something too, but nobody should wait for ever."""


class MutantError(Exception):
    """A list that cannot be used; the text names file and entry."""


class Outcome(Enum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    BROKEN = "broken"  # the tests could not run: the mutant proves nothing


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Parameters
    ----------
    name : str
        What is wrong with it, in words.
    file : str
        Source, relative to the project.
    find, replace : str
        Text that stands exactly once in the file, and what takes its place.
    tests : tuple of str
        What to run; at least one of these must fail.
    """

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def mutated(self, source: str) -> str:
        """The source with the bug in it.

        Raises
        ------
        MutantError
            `find` does not stand there exactly once, or nothing changes.
        """
        count = source.count(self.find)
        if count != 1:
            raise MutantError(f"{self.name}: {self.file} holds {self.find!r} {count} times, it must be once")
        if self.find == self.replace:
            raise MutantError(f"{self.name}: find and replace are the same")
        return source.replace(self.find, self.replace)


def read(path: Path) -> list[Mutant]:
    """Mutants of one list.

    Raises
    ------
    MutantError
        An entry has other keys than `KEYS`.
    """
    mutants = []
    for number, entry in enumerate(tomllib.loads(path.read_text()).get("mutant", []), 1):
        if set(entry) != KEYS:
            raise MutantError(f"{path.name}: mutant {number} has the keys {sorted(entry)}, allowed and needed are {sorted(KEYS)}")
        mutants.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
    return mutants


def every() -> list[Mutant]:
    """Mutants of all lists, in the order of their files."""
    return [mutant for path in sorted(LISTS.glob("*.toml")) for mutant in read(path)]


def run_tests(tests: Iterable[str], folder: Path) -> int:
    """Exit code of pytest on the copy of the project in `folder`; 1, as for a failed test, where it does not end."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    # The copy comes first on the path, what is built of a mutant is not kept with what is built of the project, and a test whose
    # data is not there fails (in the control run) instead of noticing nothing.
    environment = {"T2T_DATA": str(ROOT.parent / "shared" / "data")} | os.environ
    environment |= {"PYTHONPATH": str(folder), "T2T_BUILD": str(folder / "build"), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=_TIME_LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        return 1
    finally:
        shutil.rmtree(folder / "build" / "cocotb", ignore_errors=True)


def try_one(mutant: Mutant, folder: Path) -> Outcome:
    """Run the mutant's tests on the copy of the project in `folder`, which is left as it was."""
    target = folder / mutant.file
    original = target.read_text()
    target.write_text(mutant.mutated(original))
    try:
        return {0: Outcome.SURVIVED, 1: Outcome.CAUGHT}.get(run_tests(mutant.tests, folder), Outcome.BROKEN)
    finally:
        target.write_text(original)


def copy_project(folder: Path) -> None:
    """What tests need, without what was built."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def run(mutants: Sequence[Mutant]) -> list[Outcome]:
    """Try each; a line for each goes to stdout as soon as it is known.

    Raises
    ------
    MutantError
        The tests fail without any mutant, so nothing they say of one counts.
    """
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        folder = Path(temporary)
        copy_project(folder)
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        if run_tests(tests, folder):
            raise MutantError("the tests fail on the project as it is")
        for mutant in mutants:
            begin = time.monotonic()
            outcome = try_one(mutant, folder)
            print(f"{outcome.value:9} {time.monotonic() - begin:6.1f} s  {mutant.file}: {mutant.name}", flush=True)
            outcomes.append(outcome)
    return outcomes


def chosen(mutants: Iterable[Mutant], words: Sequence[str], part: tuple[int, int] | None) -> list[Mutant]:
    """Those whose file or name holds one of the words (all without any), then every n-th of them."""
    found = [mutant for mutant in mutants if not words or any(word in f"{mutant.file}: {mutant.name}" for word in words)]
    return found if part is None else found[part[0] - 1 :: part[1]]


def part(text: str) -> tuple[int, int]:
    """`2/5` is the second of five parts."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} was given, wanted is a part such as 1/10")
    return int(number), int(count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants whose file or name holds one of these")
    parser.add_argument("--part", type=part, help="only every n-th of them, as 1/10")
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    options = parser.parse_args(arguments)
    try:
        mutants = chosen(every(), options.words, options.part)
        if not mutants:
            raise MutantError("no mutant of these words")
        for mutant in mutants:
            mutant.mutated((ROOT / mutant.file).read_text())
        if options.list:
            print("\n".join(f"{mutant.file}: {mutant.name}" for mutant in mutants))
            return 0
        outcomes = run(mutants)
    except (MutantError, OSError) as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 2
    counts = {outcome: outcomes.count(outcome) for outcome in Outcome}
    print(", ".join(f"{count} {outcome.value}" for outcome, count in counts.items()) + f" of {len(outcomes)}", file=sys.stderr)
    return 0 if counts[Outcome.CAUGHT] == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
