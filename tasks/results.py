"""How DVC sees that what the report reads has changed, and nothing beside it.

The report reads the results of every pair, which a stage of DVC can depend on by one folder only: `results/plots/`,
where each pair has a folder of its own. Hashes of all else that is read of the pair stand there too.
"""

import shutil
from pathlib import Path

from confidistill.files import sha256
from tasks.params import Params
from tasks.tables import splits

PLOTS = Path("results/plots")
SEEDS = PLOTS / "seeds"  # logits of the repeats
FLOOR = PLOTS / "floor"  # logits of the teachers of other seeds
VARIANTS = PLOTS / "variants"  # logits of what students are exported as
COSTS = PLOTS / "costs"  # sizes and times of these, measured


def hashes(task: str, student: str) -> str:
    """What the report reads of a pair, as sha256sum writes it: a line a file, its hash and its path."""
    results = Path("results") / task / student
    read = [
        *sorted(results.glob("*.json")),
        *sorted((results / "predictions").iterdir()),
        *(Path("data/teacher") / task / f"{split}.parquet" for split in splits(task)),
        Path("data/raw") / task / "manifest.json",
    ]
    return "".join(f"{sha256(path)}  {path.as_posix()}\n" for path in read)


def remove_leftovers(params: Params) -> None:
    """Remove from `results/plots/` what is not of a pair in params.yaml: another profile's, or one renamed since.

    DVC hashes the folder as it stands once the report is written, so that dvc.lock says the same in every clone.
    """
    pairs = {f"{task}-{student}" for task in params.tasks for student in params.students}
    seeds = {f"{pair}-{seed}" for pair in pairs for seed in params.seeds}
    floor = {f"{task}-{seed}" for task in params.tasks for seed in params.floor.seeds}
    variants = {f"{pair}-{variant}" for pair in pairs for variant in params.export}
    kept = {SEEDS: seeds, FLOOR: floor, VARIANTS: variants, COSTS: {f"{name}.json" for name in variants}}
    for folder, listed in [*kept.items(), (PLOTS, pairs | {folder.name for folder in kept})]:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in listed:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
