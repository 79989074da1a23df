"""Writes what is made from the definitions in `hdl.spec`: the firmware's header and the reference pages.

``--check`` writes nothing and fails when a file is not what the definitions say.
"""

from __future__ import annotations

import argparse
import enum
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from hdl.spec import events, itch, moldudp64, network, ouch, reasons, registers, soupbintcp
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.layout import Layout
from hdl.spec.registers import Register, RegisterMap, Table

ROOT = Path(__file__).resolve().parent.parent
HEADER_PRESET = "versa"
MADE = "made by scripts/generate.py from hdl/spec; do not edit"


def reasons_enums() -> list[type[enum.IntEnum]]:
    """The enums of `hdl.spec.reasons`, in the order in which they stand there."""
    return [kind for kind in vars(reasons).values() if isinstance(kind, type) and issubclass(kind, enum.IntEnum) and len(kind)]


def member_docs(kind: type[enum.IntEnum]) -> dict[str, str]:
    """Text under each member. Python keeps none at run time, so it is read from the source."""
    docs = dict.fromkeys(kind.__members__, "")
    for name, text in re.findall(r'^    (\w+) = \d+\n    """(.*?)"""', inspect.getsource(kind), re.MULTILINE | re.DOTALL):
        docs[name] = flat(text)
    return docs


def flat(text: str) -> str:
    """Text of several lines in one."""
    return re.sub(r"\s+", " ", text).strip()


def summary(thing: object) -> str:
    """Docstring of a module or class in one paragraph."""
    return flat(inspect.getdoc(thing) or "")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table."""
    names = list(head)
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(row) + " |" for row in cells), ""]


def page(title: str, *parts: Iterable[str]) -> str:
    """A reference page."""
    return "\n".join([f"<!-- {MADE} -->", "", f"# {title}", "", *(line for part in parts for line in part)]).rstrip() + "\n"


def layout_section(layout: Layout, *, level: str = "##", note: str = "") -> list[str]:
    """One layout as heading and table."""
    code = f"`{layout.code}` " if layout.code else ""
    lines = [f"{level} {code}{layout.name}, {layout.size} bytes", ""]
    lines += [text + "\n" for text in (layout.doc, note) if text]
    rows = ((layout.offset(field.name), field.size, field.kind.value, f"`{field.name}`", field.doc) for field in layout)
    return lines + table(("offset", "bytes", "kind", "field", "meaning"), rows)


def kinds_note() -> list[str]:
    """How the kinds of fields are read."""
    return [
        "Kinds: `u` unsigned and `s` two's complement integers, big-endian; `price` unsigned, 1/10000 dollar; `price8` unsigned,",
        "1/100000000 dollar; `char` one ASCII character; `alpha` ASCII, padded right with spaces; `raw` bytes.",
        "",
    ]


def itch_page() -> str:
    """The messages of the feed and the headers they come in."""
    index = table(
        ("type", "name", "bytes", "book"),
        (
            (f"`{code}`", layout.name, layout.size, "changes" if code in itch.BOOK_TYPES else "")
            for code, layout in itch.MESSAGES.items()
        ),
    )
    frames = [network.ETHERNET, network.VLAN_TAG, network.IPV4, network.UDP, moldudp64.HEADER, moldudp64.BLOCK]
    return page(
        "The feed: ITCH 5.0",
        [summary(itch), ""],
        kinds_note(),
        index,
        ["## Framing", "", summary(moldudp64), ""],
        *(layout_section(layout, level="###") for layout in frames),
        ["## Messages", ""],
        *(layout_section(layout, level="###") for layout in itch.MESSAGES.values()),
    )


def ouch_page() -> str:
    """The messages of the order session and the headers they come in."""

    def messages(title: str, layouts: Mapping[str, Layout]) -> list[str]:
        lines = [f"## {title}", ""]
        for layout in layouts.values():
            required = layout.name in ouch.APPENDAGE_REQUIRED
            note = "The appendage length always follows." if required else "The appendage may be absent."
            lines += layout_section(layout, level="###", note=note)
        return lines

    options = table(
        ("tag", "bytes", "kind", "option", "meaning"),
        ((tag, field.size, field.kind.value, f"`{field.name}`", field.doc) for tag, field in ouch.OPTIONS.items()),
    )
    soup = [soupbintcp.HEADER, soupbintcp.LOGIN_REQUEST_PAYLOAD, soupbintcp.LOGIN_ACCEPTED_PAYLOAD]
    return page(
        "Orders: OUCH 5.0",
        [summary(ouch), ""],
        kinds_note(),
        ["## Framing", "", summary(soupbintcp), ""],
        *(layout_section(layout, level="###") for layout in [network.TCP, *soup, ouch.APPENDAGE]),
        messages("To the exchange", ouch.INBOUND),
        messages("From the exchange", ouch.OUTBOUND),
        ["## Options of the appendage", ""],
        options,
    )


def _maps() -> dict[str, RegisterMap]:
    """Register maps by the presets that have them."""
    maps: dict[int, tuple[list[str], RegisterMap]] = {}
    for name, geometry in PRESETS.items():
        where = RegisterMap(geometry)
        maps.setdefault(where.digest, ([], where))[0].append(name)
    return {", ".join(names): where for names, where in maps.values()}


def registers_page() -> str:
    """Every register and table, with its address in each preset."""
    maps = _maps()
    lines = []
    for block in registers.BLOCKS:
        lines += [f"## {block.name}", "", block.doc, ""]
        lines += table(
            ("name", *(f"word ({name})" for name in maps), "access", "bits", "meaning"),
            (
                (
                    f"`{entry.name}`",
                    *(f"0x{where[block.name, entry.name].address:05X}" for where in maps.values()),
                    entry.access.value,
                    entry.bits,
                    entry.doc + (f" (after reset {entry.reset})" if isinstance(entry, Register) and entry.reset else ""),
                )
                for entry in block.entries
            ),
        )
        for entry in block.tables:
            lines += _table_section(block.name, entry, maps)
    lines += ["## Views of the ledger", "", "What `risk.inspect_ledger` shows, a word at a time.", ""]
    for number, view in enumerate(registers.LEDGER_VIEWS):
        lines += _view_section(number, view)
    access = [f"- `{kind.value}`" for kind in registers.Access]
    docs = re.findall(r'^    \w+ = "\w+"\n    """(.*?)"""', inspect.getsource(registers.Access), re.MULTILINE | re.DOTALL)
    access = [f"{name}: {flat(text)}" for name, text in zip(access, docs, strict=True)]
    return page("Registers", [summary(registers), ""], access, [""], lines)


def _table_section(block: str, entry: Table, maps: Mapping[str, RegisterMap]) -> list[str]:
    rows = ", ".join(f"{where[block, entry.name].rows} ({name})" for name, where in maps.items())
    lines = [f"### {block}.{entry.name}", "", f"{entry.doc} Words from row to row: {entry.stride}. Rows: {rows}.", ""]
    if entry.labels:
        return lines + table(("row", "counts"), ((row, f"`{label}`") for row, label in enumerate(entry.labels)))
    return lines + _columns(entry)


def _columns(entry: Table) -> list[str]:
    position, cells = 0, []
    for column in entry.columns:
        kind = "signed" if column.signed else "unsigned"
        cells.append((f"{position + column.bits - 1}:{position}", kind, f"`{column.name}`", column.doc))
        position += column.bits
    return table(("bits", "kind", "column", "meaning"), cells)


def _view_section(number: int, view: Table) -> list[str]:
    first = f"Its word 0 is word {number * registers.VIEW_WORDS} of `inspect_ledger`."
    return [f"### {view.name}", "", f"{view.doc} {first}", "", *_columns(view)]


def events_page() -> str:
    """The event records."""
    return page("Event records", [summary(events), ""], kinds_note(), *map(layout_section, events.RECORDS.values()))


def reasons_page() -> str:
    """The numbers of every reason and state."""
    lines = []
    for kind in reasons_enums():
        docs = member_docs(kind)
        lines += [f"## {kind.__name__}", "", summary(kind), ""]
        lines += table(("number", "name", "meaning"), ((member.value, f"`{member.name}`", docs[member.name]) for member in kind))
    return page("Reasons and states", [summary(reasons), ""], lines)


def define(name: str, value: str, comment: str = "") -> str:
    """One line of the header."""
    return f"#define {name} {value}" + (f" /* {comment} */" if comment else "")


def header(geometry: Geometry, preset: str) -> str:
    """The firmware's header: register addresses, numbers of reasons and states, offsets in event records."""
    lines = [
        f"/* {MADE}.",
        f" * Word addresses are those of the preset {preset}; a card's own geometry stands in its identity block.",
        " */",
        "#ifndef T2T_H",
        "#define T2T_H",
        "",
        define("T2T_MAGIC", f"0x{registers.MAGIC:08X}u"),
        "",
    ]
    for place in RegisterMap(geometry):
        name = f"T2T_{place.block.name}_{place.entry.name}".upper()
        if isinstance(place.entry, Register):
            lines.append(define(name, f"0x{place.address:05X}u", f"{place.entry.access.value}, {place.entry.bits} bits"))
        else:
            lines.append(define(name, f"0x{place.address:05X}u", f"{place.entry.access.value}, table"))
            lines.append(define(f"{name}_ROWS", f"{place.rows}u"))
            lines.append(define(f"{name}_STRIDE", f"{place.entry.stride}u", "words"))
    for kind in reasons_enums():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        members = [f"    T2T_{prefix}_{member.name} = {member.value},".upper() for member in kind]
        lines += ["", f"enum t2t_{prefix} {{", *members, "};"]
    for code, record in events.RECORDS.items():
        prefix = f"T2T_EVENT_{record.name.upper()}"
        lines += ["", define(prefix, f"'{code}'"), define(f"{prefix}_SIZE", f"{record.size}u", "bytes")]
        for field in record:
            lines.append(define(f"{prefix}_{field.name.upper()}", f"{record.offset(field.name)}u", f"{field.size} bytes"))
    return "\n".join([*lines, "", "#endif", ""])


def generated() -> dict[Path, str]:
    """Every generated file and what belongs into it."""
    reference = ROOT / "docs" / "reference"
    return {
        ROOT / "firmware" / "include" / "t2t.h": header(PRESETS[HEADER_PRESET], HEADER_PRESET),
        reference / "itch.md": itch_page(),
        reference / "ouch.md": ouch_page(),
        reference / "registers.md": registers_page(),
        reference / "events.md": events_page(),
        reference / "reasons.md": reasons_page(),
    }


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    check = parser.parse_args().check
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"not up to date: {path.relative_to(ROOT)}; run: make generate", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated()[path])
            print(f"written: {path.relative_to(ROOT)}", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
