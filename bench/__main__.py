"""`make bench`: every measurement that a clone can make by itself, in turn; one table of all: results/bench/README.md.

Each is a module with options of its own, which `python -m bench.NAME -h` tells, and writes results/bench/NAME.json.
Those that need tables and models of a run take them from this clone where it has run the quickstart (`make demo`), and
are left out where it has not. `bench.ablation` is not among them.
"""

import subprocess
import sys
from pathlib import Path

ALONE = {
    "check": "two prediction files of 10^4 ... 10^7 rows: seconds and peak memory, beside pandas reading them",
    "flow_overhead": "what Prefect adds to dvc repro",
    "startup": "seconds until a stage begins its work, fresh and forked, beside importing torch",
    "peak": "FLOP/s of a training step, beside a matrix multiply's",
    "training": "examples a second of both distillation stages, beside the authors' V100 figures",
    "growth": "time and memory against rows",
}
OF_A_RUN = {
    "augment": "rows a second, beside the reference's way",
    "prediction": "examples a second, beside padding to 128 and transformers' pipeline",
    "distillation": "examples a second of both stages, beside the reference's way and TextBrewer",
}
RUN = ("models/base", "models/teacher", "models/student", "data/raw", "data/vectors")  # what the latter need


def run(module: str) -> bool:
    return subprocess.run([sys.executable, "-m", f"bench.{module}"]).returncode == 0


if __name__ == "__main__":
    missing = [path for path in RUN if not Path(path).is_dir()]
    failed = []
    for name, what in (ALONE | ({} if missing else OF_A_RUN)).items():
        print(f"\n== bench.{name}: {what}", flush=True)
        if not run(name):
            failed.append(name)
    if missing:
        print(f"\nleft out: {', '.join(OF_A_RUN)}: no {', '.join(missing)}: run the quickstart here first (make demo)")
    if not run("table"):
        failed.append("table")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
