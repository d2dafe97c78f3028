"""Time and peak memory against the rows of the data: augment, stage 1, stage 2, evaluate, check.

    python -m bench.growth [--rows 1000 --rows 10000 ...] [--stage NAME ...]

On synthetic text of GLUE's length distribution with a tiny model, since what a row costs does not change how cost grows
with rows. Each is a process of its own; seconds are of the work without the imports, memory is of the whole process.
By default 10^3 ... 10^5 rows, with a masked LM 10^4 at most. Prints the slope of a line through log seconds, and log
MiB, over log rows (1: in proportion, 0: flat), the same between the two largest sizes, where what is done once weighs
least, and the memory that a row adds; draws results/bench/growth.png.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.grown import STAGES
from bench.options import parser
from bench.processes import measured
from bench.results import FOLDER, Report
from bench.synthetic import table, write_models
from confidistill.errors import exits_cleanly
from confidistill.files import atomic_file

ROWS = [10**3, 10**4, 10**5]
MOST = {"augment by a masked LM": 10**4}  # rows, of a stage that takes long
Points = Mapping[str, Sequence[tuple[int, float, float]]]  # of a stage: rows, seconds, MiB


def slope(rows: Sequence[float], values: Sequence[float]) -> float:
    """Of the least-squares line through log(values) over log(rows)."""
    return float(np.polyfit(np.log(rows), np.log(values), 1)[0])


def draw(points: Points, path: Path) -> None:
    """Seconds and MiB over rows, both axes logarithmic, a line a stage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for stage, measures in points.items():
        rows, times, memory = zip(*measures, strict=True)
        for axis, values in zip(axes, (times, memory), strict=True):
            axis.loglog(rows, values, marker="o", label=f"{stage} ({slope(rows, values):.2f})")
    for axis, name in zip(axes, ("seconds", "peak MiB"), strict=True):
        axis.set(xlabel="rows", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend(title="slope", fontsize="small")
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=150)


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, action="append", help="may be repeated, two at least")
    options.add_argument("--stage", choices=STAGES, action="append", help="default: all")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(arguments)
    sizes = sorted(asked.rows or ROWS)
    if len(set(sizes)) < max(2, len(sizes)):
        options.error("--rows: a slope takes two different sizes at least")
    report = Report("growth", dtype="fp32", seed=asked.seed)
    found = defaultdict(list)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder)
        for rows in sizes:
            path = folder / "table.parquet"
            table(rows, asked.seed).to_parquet(path, index=False)
            for stage in asked.stage or STAGES:
                if not asked.stage and rows > MOST.get(stage, rows):
                    continue
                process = measured("-m", "bench.grown", stage, folder, path)
                taken = float(process.output.splitlines()[-1])
                found[stage].append((rows, taken, process.peak_mib))
                report.figure(f"{stage}, {rows:,} rows", taken, "s")
                report.figure(f"{stage}, {rows:,} rows", process.peak_mib, "MiB")
    points = {stage: measures for stage, measures in found.items() if len(measures) > 1}
    for stage, measures in points.items():
        rows, times, memory = zip(*measures, strict=True)
        for what, values in (("time", times), ("memory", memory)):
            report.number(f"{stage}: {what}", "rows (slope)", slope(rows, values))
            if len(rows) > 2:
                report.number(f"{stage}: {what}", "rows (slope of the last two)", slope(rows[-2:], values[-2:]))
        report.figure(f"{stage}: memory", (memory[-1] - memory[0]) / (rows[-1] - rows[0]) * 1024, "KiB a row")
    draw(points, FOLDER / "growth.png")
    report.write()


if __name__ == "__main__":
    main()
