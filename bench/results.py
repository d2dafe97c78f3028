"""The one form of what a bench finds: settings and rows, printed as they come, then results/bench/NAME.json."""

import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confidistill.files import atomic_file, json_text

FOLDER = Path("results/bench")
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx", "asimd")  # the first that a processor has
Rounds = float | Sequence[float]


@dataclass(frozen=True)
class Row:
    """What was measured, in `unit`, and what it stands beside; a mean of ratios or a slope is a ratio alone."""

    what: str
    value: float | None = None
    unit: str = ""
    beside: str = ""
    other: float | None = None
    ratio: float | None = None


class Report:
    """Prints the settings at once and each row as it comes, and writes all of them at the end."""

    def __init__(self, bench: str, *, dtype: str, seed: int, **settings: Any) -> None:
        self.bench, self.rows = bench, list[Row]()
        self.settings = machine() | {"dtype": dtype, "seed": seed} | settings
        print(f"{bench}: {settings_line(self.settings)}\n\n{HEADER}", flush=True)

    def figure(self, what: str, value: float, unit: str) -> Row:
        """A figure that stands beside nothing."""
        return self._keep(Row(what, value, unit))

    def beside(self, what: str, value: Rounds, unit: str, beside: str, other: Rounds) -> Row:
        """`value` over `other`: two figures, or one of each a round, of whose ratios the median counts."""
        pairs = list(zip(_rounds(value), _rounds(other), strict=True))
        values, others = (statistics.median(side) for side in zip(*pairs, strict=True))
        return self._keep(Row(what, values, unit, beside, others, statistics.median(a / b for a, b in pairs)))

    def number(self, what: str, beside: str, ratio: float) -> Row:
        """A mean of ratios, or a slope."""
        return self._keep(Row(what, beside=beside, ratio=ratio))

    def write(self, **details: Any) -> Path:
        """Write results/bench/NAME.json."""
        path = FOLDER / f"{self.bench}.json"
        content = {"bench": self.bench, "settings": self.settings, "rows": [asdict(row) for row in self.rows]}
        with atomic_file(path) as file:
            file.write_text(json_text(content | details))
        print(f"\n{path}", flush=True)
        return path

    def _keep(self, row: Row) -> Row:
        self.rows.append(row)
        print(line(row), flush=True)
        return row


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores, threads, versions, and the load that there was already."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*: (.+)$", described, re.M)
    flags = set(described.split())
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    torch = sys.modules.get("torch")  # which not every bench imports
    return {
        "processor": name[1] if name else platform.processor() or platform.machine(),
        "instructions": next((flag for flag in INSTRUCTIONS if flag in flags), ""),
        "cores": cores,
        "threads": torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS", cores or 1)),
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


HEADER = "| what | | | beside | | × |\n|:--|--:|:--|:--|--:|--:|"


def line(row: Row) -> str:
    """A row of a Markdown table."""
    value, other = ("" if figure is None else f"{figure:,.4g}" for figure in (row.value, row.other))
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return f"| {row.what} | {value} | {row.unit} | {row.beside} | {other} | {ratio} |"


def settings_line(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value not in ("", None))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _rounds(value: Rounds) -> Sequence[float]:
    return [value] if isinstance(value, int | float) else value
