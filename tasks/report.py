"""The tables and the HTML page of every pair, and in one small file every sigma, for `dvc exp show`."""

from importlib.metadata import version
from pathlib import Path
from platform import python_version

from confidistill.files import atomic_file, json_text
from confidistill.report.page import build_report
from confidistill.report.pair import split_name
from tasks.entry import stage
from tasks.pairs import load_pairs
from tasks.params import Params
from tasks.results import remove_leftovers
from tasks.tables import judged_splits

PACKAGES = ("confidistill", "torch", "transformers", "datasets", "dvc", "prefect", "numpy", "pandas")
# Sections of params.yaml that say how the results came about.
SETTINGS = {
    "profile",
    "property",
    "tasks",
    "students",
    "pairs",
    "selection",
    "seeds",
    "floor",
    "export",
    "augment",
    "teacher",
    "general",
    "intermediate",
    "prediction",
}


@stage
def main(params: Params) -> None:
    remove_leftovers(params)
    versions = {"python": python_version()} | {package: version(package) for package in PACKAGES}
    settings = params.model_dump(include=SETTINGS, mode="json")
    pairs = load_pairs(params)
    build_report(pairs, settings, versions, Path("results"))
    sigma: dict[str, dict[str, float]] = {}
    for pair in pairs:
        for split in judged_splits(pair.task):
            of_split, name = sigma.setdefault(split_name(split), {}), f"{pair.task}-{pair.student}"
            of_split[name] = pair.sigma(split)
            for variant in pair.variants:
                of_split[f"{name}-{variant.name}"] = variant.measures[split][pair.judged_measure]
    with atomic_file(Path("results/sigma.json")) as path:
        path.write_text(json_text(sigma))


if __name__ == "__main__":
    main()
