"""The longest path of a design in the delays of an SDF file.

nextpnr tells critical paths of what it has routed. Of a design that is only placed it writes its delays, wires estimated from
where the cells lie, as SDF; the path is found here, in the form nextpnr's report has it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_INSTANCE = re.compile(r"\(INSTANCE (\S*)\)")
_PATH = re.compile(r"\((INTERCONNECT|IOPATH) (\S+) (\S+) \([\d.]+:[\d.]+:([\d.]+)\) \([\d.]+:[\d.]+:([\d.]+)\)")
_CHECK = re.compile(r"\(SETUPHOLD \(\w+ (\S+)\) \(\w+ (\S+)\) \([\d.]+:[\d.]+:([\d.]+)\)")
_PS = 1000.0

Pin = tuple[str, str]
"""Cell and port."""


@dataclass
class _Design:
    """Delays in ns.

    ``wires``, ``cells``: pins behind a pin; ``setup``: of an input, its clock pin and how early it must stand; ``driver``: of an
    input, the pin that drives it.
    """

    wires: dict[Pin, list[tuple[Pin, float]]] = field(default_factory=lambda: defaultdict(list))
    cells: dict[Pin, list[tuple[Pin, float]]] = field(default_factory=lambda: defaultdict(list))
    setup: dict[Pin, tuple[Pin, float]] = field(default_factory=dict)
    driver: dict[Pin, Pin] = field(default_factory=dict)


def _pin(text: str) -> Pin:
    cell, _, port = text.rpartition("/")
    return cell, port


def _read(lines: Iterable[str]) -> _Design:
    design, cell = _Design(), ""
    for line in lines:
        if found := _INSTANCE.search(line):
            cell = found[1].replace("\\", "")
        elif found := _PATH.search(line):
            delay = max(float(found[4]), float(found[5])) / _PS
            if found[1] == "INTERCONNECT":
                source, sink = (_pin(found[number].replace("\\", "")) for number in (2, 3))
                design.wires[source].append((sink, delay))
                design.driver[sink] = source
            else:
                design.cells[cell, found[2]].append(((cell, found[3]), delay))
        elif found := _CHECK.search(line):
            pin, clock, setup = (cell, found[1]), (cell, found[2]), float(found[3]) / _PS
            design.setup[pin] = clock, max(setup, design.setup.get(pin, (clock, 0.0))[1])
    return design


def critical_paths(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The longest path within each clock.

    Parameters
    ----------
    lines : iterable of str
        An SDF file as nextpnr writes it, delays in ps.

    Returns
    -------
    list of dict
        ``from`` and ``to``, the pin that drives the clock; ``path``, its parts with ``type``, ``delay`` in ns, ``from``, ``to``
        and ``net``, the cell that drives the wire.
    """
    design = _read(lines)
    clocks = {clock for clock, _ in design.setup.values()}
    return [
        {"from": clock, "to": clock, "path": path}
        for clock in sorted({_net(design, pin) for pin in clocks} - {""})
        if (path := _longest(design, clock))
    ]


def _net(design: _Design, clock_pin: Pin) -> str:
    return "/".join(design.driver.get(clock_pin, ("",))).strip("/")


def _longest(design: _Design, clock: str) -> list[dict[str, Any]]:
    clocked = {pin for pin, driver in design.driver.items() if pin in design.cells and "/".join(driver) == clock}
    arrival: dict[Pin, float] = {}
    before: dict[Pin, tuple[Pin, str, float]] = {}
    for pin, kind, source, delay in _in_order(design, clocked):
        if (at := arrival.get(source, 0.0) + delay) > arrival.get(pin, -1.0):
            arrival[pin], before[pin] = at, (source, kind, delay)
    ends = [
        (arrival[pin] + setup, pin, setup)
        for pin, (clock_pin, setup) in design.setup.items()
        if pin in arrival and _net(design, clock_pin) == clock
    ]
    if not ends:
        return []
    _, pin, setup = max(ends)
    parts = [_part("setup", setup, pin, pin)]
    while pin in before:
        source, kind, delay = before[pin]
        parts.append(_part(kind, delay, source, pin))
        pin = source
    return parts[::-1]


def _part(kind: str, delay: float, source: Pin, sink: Pin) -> dict[str, Any]:
    ends = {name: {"cell": pin[0], "port": pin[1]} for name, pin in (("from", source), ("to", sink))}
    return {"type": kind, "delay": delay, "net": source[0], **ends}


def _in_order(design: _Design, clocked: set[Pin]) -> Iterator[tuple[Pin, str, Pin, float]]:
    """Every step from a clocked output on, each after all steps to the pin it starts at."""
    # Through a clock pin no path goes on.
    stops = {clock for clock, _ in design.setup.values()} | clocked

    def steps(pin: Pin) -> list[tuple[Pin, str, float]]:
        through = () if pin in stops else design.cells.get(pin, ())
        wires = [(sink, "routing", delay) for sink, delay in design.wires.get(pin, ())]
        return wires + [(sink, "logic", delay) for sink, delay in through]

    starts = [(pin, sink, delay) for pin in clocked for sink, delay in design.cells[pin]]
    waiting: dict[Pin, int] = defaultdict(int)
    seen, stack = set(), [sink for _, sink, _ in starts]
    for _, sink, _ in starts:
        waiting[sink] += 1
    while stack:
        pin = stack.pop()
        if pin not in seen:
            seen.add(pin)
            for sink, _, _ in steps(pin):
                waiting[sink] += 1
                stack.append(sink)
    ready: list[Pin] = []

    def arrived(pin: Pin) -> None:
        waiting[pin] -= 1
        if not waiting[pin]:
            ready.append(pin)

    for pin, sink, delay in starts:
        yield sink, "clk-to-q", pin, delay
        arrived(sink)
    while ready:
        pin = ready.pop()
        for sink, kind, delay in steps(pin):
            yield sink, kind, pin, delay
            arrived(sink)
