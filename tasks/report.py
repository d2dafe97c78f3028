"""The tables and the HTML page of every pair."""

from importlib.metadata import version
from pathlib import Path
from platform import python_version

from confidistill.report.page import build_report
from tasks.entry import stage
from tasks.pairs import load_pairs
from tasks.params import Params
from tasks.results import remove_leftovers

PACKAGES = ("confidistill", "torch", "transformers", "datasets", "dvc", "prefect", "numpy", "pandas")
# Sections of params.yaml that say how the results came about.
SETTINGS = {
    "profile",
    "property",
    "tasks",
    "students",
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
    build_report(load_pairs(params), settings, versions, Path("results"))


if __name__ == "__main__":
    main()
