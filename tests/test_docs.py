"""What the documents tell people to type works, and what they point to is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from typer.main import get_command
from typer.testing import CliRunner

from hdl.spec.itch import SYSTEM_EVENT
from hdl.spec.reasons import Refusal
from host import cli, snapshot
from host.framing import Feed, Framer
from host.snapshot import Snapshot

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("[a-z]*/README.md")])


def commands(prefix: str) -> list[str]:
    """Lines of the pages' indented or fenced code that begin with a program's name, comments left out."""
    found = set()
    for page in PAGES:
        for line in page.read_text().splitlines():
            if match := re.match(rf"(?:    |)({prefix} [^#`|]*)", line):
                found.add(match[1].strip())
    return sorted(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_refusal_is_explained() -> None:
    page = (ROOT / "docs/risk.md").read_text()
    assert [kind.name for kind in Refusal if f"`{kind.name.lower()}`" not in page] == []


@pytest.mark.parametrize("command", commands("make"))
def test_make_targets_exist(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", commands("t2t"))
def test_t2t_commands_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)[1:]
    if words[0] in ("compare", "generate", "bench"):
        # These take their time: that the words are understood is enough.
        (tmp_path / "day.itch").touch()
        words = [str(tmp_path / word) if word == "day.itch" else word for word in words]
        get_command(cli.app).commands[words[0]].make_context(words[0], words[1:])
        return
    if words[0] == "replay":
        # The file is the reader's; everything else is checked without running the card.
        message = SYSTEM_EVENT.pack(stock_locate=0, tracking_number=0, timestamp=0, event_code="O")
        for name in ("day.itch", "morning.itch", "afternoon.itch"):
            (tmp_path / name).write_bytes(len(message).to_bytes(2, "big") + message)
        snapshot.save(Snapshot(next_user_ref_num=1, trading_state="active", slots=()), tmp_path / "noon.json")
        wrpcap(str(tmp_path / "feed.pcap"), [Ether(Framer(Feed()).packet([message]))])
        words = [str(tmp_path / word) if (tmp_path / word).is_file() else word for word in words]
        words += [] if "--dry-run" in words else ["--dry-run"]
    else:
        words = [words[0], "--help"] if words[0] in ("synth", "demo", "doctor") else words
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
