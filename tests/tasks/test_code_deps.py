"""The code dependencies of dvc.yaml are those of the import graph, and these are what they have to be."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from tasks.code_deps import OWNED, code_of, with_code_deps
from tasks.report import SETTINGS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "dvc.yaml").read_text()
STAGES = {name: entry.get("do", entry) for name, entry in YAML(typ="safe").load(TEXT)["stages"].items()}
TRAINING = {"finetune_teacher", "general_distill", "distill_intermediate", "distill_prediction"}


def rerun_by(file: str) -> set[str]:
    """The stages that depend on a file by name."""
    return {name for name, stage in STAGES.items() if file in stage["deps"]}


def test_dvc_yaml_names_the_code_of_the_import_graph():
    assert with_code_deps(TEXT) == TEXT, "run `python -m tasks.code_deps`"


def test_every_code_dependency_is_a_file():
    code = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith(OWNED)}
    assert [name for name in code if not (ROOT / name).is_file()] == []


def test_the_report_alone_is_made_of_its_page():
    for file in ("page.py", "page.html", "page.css", "tables.py"):
        assert rerun_by(f"confidistill/report/{file}") == {"report"}


def test_a_loss_reruns_distillation_and_no_teacher():
    reruns = rerun_by("confidistill/distillation/losses.py")
    assert {"general_distill", "distill_intermediate", "distill_prediction"} <= reruns
    assert not {"finetune_teacher", "predict_teacher", "evaluate", "report"} & reruns


def test_a_bound_reruns_what_measures():
    for file in ("bounds.py", "certificate.py", "measures.py"):
        assert rerun_by(f"confidistill/confidence/{file}") == {"evaluate", "report"}  # which measures the repeats
    assert rerun_by("confidistill/confidence/verdict.py") == {"evaluate", "report"}
    assert "results/plots" in STAGES["report"]["deps"]  # where `evaluate` hashes what the report reads


def test_the_tokens_and_what_picks_an_epoch_are_part_of_training():
    assert TRAINING | {"augment", "predict_teacher", "evaluate"} <= rerun_by("confidistill/text/tokens.py")
    picked = rerun_by("confidistill/confidence/agreement.py")
    assert {"finetune_teacher", "distill_prediction", "evaluate"} <= picked
    assert not {"general_distill", "predict_teacher"} & picked


def test_a_reader_of_tables_trains_and_judges_nothing():
    for file in ("table.py", "transfer.py"):
        assert rerun_by(f"confidistill/text/{file}") <= {"preflight", "download_data"}
    lines = rerun_by("confidistill/text/lines.py")
    assert lines == {"preflight", "download_data", "general_distill"}  # whose corpus is lines


def test_a_reader_of_tasks_reruns_the_download_alone():
    assert rerun_by("confidistill/text/glue.py") == {"preflight", "download_data"}  # a check, and the download


def test_a_file_with_conflict_markers_is_told_by_its_line():
    with pytest.raises(UserError, match=r"dvc\.yaml: not YAML at line 4"):
        with_code_deps("stages:\n  report:\n<<<<<<< HEAD\n    cmd: x\n=======\n    cmd: y\n>>>>>>> other\n")


def test_what_starts_a_stage_reruns_none():
    for file in ("tasks/params.py", "tasks/entry.py", "confidistill/errors.py", "confidistill/progress.py"):
        assert rerun_by(file) == set()


def test_the_report_reruns_for_every_setting_that_it_shows():
    assert set(STAGES["report"]["params"]) == SETTINGS


def test_data_files_go_with_the_module_that_reads_them():
    assert rerun_by("confidistill/augmentation/stopwords.txt") == {"augment"}


def test_comments_data_and_order_are_kept():
    wanted = """\
# what this is
stages:
  report:
    cmd: python -m tasks.report  # the page
    deps:
      # a folder
      - results/plots
      - data/${item.x}
CODE    outs: [results/report.html]
"""
    lines = "".join(f"      - {name}\n" for name in code_of("report", "python -m tasks.report"))
    stale = wanted.replace("CODE", "      - tasks/report.py\n      - confidistill/report\n")
    assert with_code_deps(stale) == wanted.replace("CODE", lines)


@pytest.mark.parametrize(
    ("command", "said"), [("echo", "runs no module of tasks/"), ("python -m tasks.magic", "no module is called")]
)
def test_a_stage_without_a_module_is_refused(command, said):
    with pytest.raises(UserError, match=re.escape(said)):
        code_of("magic", command)
