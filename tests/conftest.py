"""What holds for all tests."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Time a test takes depends on what else the machine does; it is no property of the code.
settings.register_profile("t2t", deadline=None)
settings.load_profile("t2t")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="long forms of the tests marked soak: hours, not minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test marked ``soak(one_in=n)`` every n-th case runs; all do in a soak, and where tests were asked for by name."""
    if config.getoption("--soak") or any("::" in argument for argument in config.args):
        return
    seen: Counter[str] = Counter()
    left_out = []
    for item in items:
        marker = item.get_closest_marker("soak")
        if marker is not None and "one_in" in marker.kwargs:
            test = item.nodeid.partition("[")[0]
            if seen[test] % marker.kwargs["one_in"]:
                left_out.append(item)
            seen[test] += 1
    config.hook.pytest_deselected(items=left_out)
    dropped = set(left_out)
    items[:] = [item for item in items if item not in dropped]


def pytest_collection_finish() -> None:
    """What was imported stays: without it each look for what can be dropped is over in no time, and there are thousands."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether a test marked ``soak`` runs in its long form."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(autouse=True)
def _collect_dropped_benches(request: pytest.FixtureRequest) -> Iterator[None]:
    """Amaranth's simulator drops background test benches in the middle of a tick, where closing them raises. They are collected
    here, since CPython 3.11 fails (AST constructor recursion depth mismatch) where that happens while it parses a file."""
    yield
    if vars(request.module).keys() & {"Simulator", "simulate"}:
        gc.collect()
