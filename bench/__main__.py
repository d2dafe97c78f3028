"""`make bench`: every measurement that a clone can make by itself, in turn; each is a module with options of its own.

`python -m bench.NAME -h` tells them. `bench.augment`, `bench.distillation` and `bench.ablation` are not among them, for
they need tables and models of a run.
"""

import subprocess
import sys

MEASUREMENTS = {
    "bench.check": "two prediction files of a million rows: seconds and peak memory",
    "bench.flow_overhead": "what Prefect adds to dvc repro",
    "bench.startup": "seconds until a stage begins its work, fresh and forked, beside importing torch",
    "bench.training": "examples a second of both distillation stages, beside the authors' V100 figures",
}

if __name__ == "__main__":
    failed = []
    for module, what in MEASUREMENTS.items():
        print(f"== {module}: {what}", flush=True)
        if subprocess.run([sys.executable, "-m", module]).returncode:
            failed.append(module)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
