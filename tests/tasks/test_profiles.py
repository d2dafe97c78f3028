"""Every profile: used, drawn and dry-run in a repository of its own; and `paper` is the published experiment."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from confidistill.sources.pins import numbered
from confidistill.text.glue import TASKS
from tasks.names import stage_names
from tasks.params import Params, load

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A git and DVC repository with this project's code and nothing run yet."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.splitlines():
        if not name.startswith(("tests/", "docs/", "results/")) and name != "dvc.lock" and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stages(params: Params) -> set[str]:
    """The stages of the design, for what a profile lists."""
    pairs = [f"{task}-{student}" for task in params.tasks for student in params.students]
    return {
        *("preflight", "download_models", "download_vectors", "download_corpus", "report"),
        *(
            f"{name}@{task}"
            for name in ("download_data", "augment", "finetune_teacher", "predict_teacher")
            for task in params.tasks
        ),
        *(f"{name}@{student}" for name in ("download_checkpoint", "general_distill") for student in params.students),
        *(f"{name}@{pair}" for name in ("distill_intermediate", "distill_prediction", "evaluate") for pair in pairs),
        *(f"repeat@{pair}-{seed}" for pair in pairs for seed in params.seeds),
        *(f"{name}@{pair}-{form}" for name in ("export", "time_export") for pair in pairs for form in params.export),
        *(f"reseed_teacher@{task}-{seed}" for task in params.tasks for seed in params.floor.seeds),
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_drawn_and_dry_run(clone, profile):
    shutil.copy(clone / "profiles" / f"{profile}.yaml", clone / "params.yaml")
    params = load(clone / "params.yaml")
    expected = stages(params)
    drawn = run(clone, "dvc", "dag", "--mermaid")
    assert set(re.findall(r'node\d+\["(.+?)"\]', drawn)) == expected

    # --force, as DVC cannot look into its run cache for a stage whose inputs are not made yet. Of `report` alone:
    # a stage that it does not need in the end would be missing.
    planned = run(clone, "dvc", "repro", "--dry", "--force", "report")
    assert set(re.findall(r"Running stage '(.+?)':", planned)) == expected
    commands = re.findall(r"^> python -m tasks\.(\w+)$", planned, flags=re.MULTILINE)
    assert len(commands) == len(expected)
    seeds = [str(seed) for seed in (*params.seeds, *params.floor.seeds)]
    choices = {"task": params.tasks, "student": params.students, "seed": seeds, "variant": params.export}
    for stage in expected:
        module, _, item = stage.partition("@")
        assert module in commands
        tree = ast.parse((clone / "tasks" / f"{module}.py").read_text())
        main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
        if not item:
            assert len(main.args.args) == 1
            continue
        kinds = [argument.arg for argument in main.args.args[1:]]
        assert "-".join(stage_names(stage, [choices[kind] for kind in kinds])) == item


def test_the_order_is_that_of_the_method(clone):
    shutil.copy(clone / "profiles" / "paper.yaml", clone / "params.yaml")
    planned = run(clone, "dvc", "repro", "--dry", "--force", "evaluate@RTE-S_4L")
    order = re.findall(r"Running stage '(.+?)':", planned)
    for stage in ("predict_teacher@RTE", "distill_intermediate@RTE-S_4L"):  # neither waits for the other
        chain = ["download_data@RTE", "augment@RTE", stage, "distill_prediction@RTE-S_4L", "evaluate@RTE-S_4L"]
        assert [stage for stage in order if stage in chain] == chain
    assert order.index("general_distill@S_4L") < order.index("distill_intermediate@RTE-S_4L")
    assert not any("S_6L" in stage or "CoLA" in stage for stage in order)


@pytest.fixture(scope="module")
def paper():
    return load(ROOT / "profiles" / "paper.yaml")


def test_paper_has_the_published_tasks_and_students(paper):
    assert list(paper.tasks) == ["SST-2", "RTE", "QQP", "QNLI", "MRPC", "CoLA"]
    shapes = {
        name: (student.layers, student.hidden_size, student.intermediate_size, student.attention_heads)
        for name, student in paper.students.items()
    }
    assert shapes == {"S_6L": (6, 768, 3072, 12), "S_4L": (4, 312, 1200, 12)}
    assert {task.max_length for task in paper.tasks.values()} == {128}
    assert [name for name, task in paper.tasks.items() if task.metric == "mcc"] == ["CoLA"]
    assert all(task.data.train_rows is None for task in paper.tasks.values())


def test_paper_has_the_published_hyper_parameters(paper):
    for task in paper.tasks:
        for student in paper.students:
            first, second = paper.intermediate_of(task, student), paper.prediction_of(task, student)
            for stage in (first, second):
                assert (stage.epochs, stage.batch_size, stage.weight_decay, stage.seed) == (3, 32, 1e-4, 42)
            assert (first.learning_rate, first.schedule) == (5e-5, "constant")
            assert (second.learning_rate, second.schedule, second.warmup_ratio) == (3e-5, "linear", 0.1)
            assert ([term.name for term in second.loss], second.alpha, second.temperature) == (["soft_ce"], 0.0, 1.0)
            assert {term.name: term.weight for term in first.loss} == {"attention": 1, "hidden": 1, "embedding": 1}
    augmented = {name: (a.variants, a.candidates, a.probability) for name, a in paper.augment.items() if a}
    assert augmented == dict.fromkeys(("RTE", "MRPC", "CoLA"), (30, 15, 0.4))
    assert (paper.vectors.member, paper.vectors.limit) == ("glove.6B.300d.txt", 100_000)
    assert paper.property.kappa == 0.05


@pytest.mark.parametrize("profile", ["paper", "glue-mini"])
def test_each_task_is_taken_from_the_hubs_files_of_that_task(profile):
    params = load(ROOT / "profiles" / f"{profile}.yaml")
    for name, task in params.tasks.items():
        source = params.sources[task.data.source]
        assert (source.repo, task.data.task) == ("nyu-mll/glue", name)
        assert {file.split("-")[0] for file in source.files} == {
            f"{TASKS[name].hub}/{split}" for split in ("train", "validation")
        }
        assert all(source.files.values())  # every one has its sha256


def test_paper_tuned_is_paper_with_the_six_published_settings_of_rq2(paper):
    tuned = load(ROOT / "profiles" / "paper-tuned.yaml")
    # Vengertsev & Sherman, RQ2: epochs, batch size, learning rate of stage 1, then of stage 2.
    original = ((3, 32, 5e-5), (3, 32, 3e-5))
    published = {
        ("RTE", "S_6L"): ((3, 32, 1e-4), (4, 36, 3e-5)),
        ("RTE", "S_4L"): ((3, 32, 5e-5), (4, 32, 3e-5)),
        ("MRPC", "S_6L"): ((3, 32, 5e-5), (4, 32, 1e-5)),
        ("MRPC", "S_4L"): ((3, 32, 5e-5), (2, 32, 3e-5)),
        ("CoLA", "S_6L"): ((3, 32, 5e-5), (4, 32, 1e-5)),
        ("CoLA", "S_4L"): ((3, 32, 5e-5), (4, 32, 1e-5)),
    }
    for task in tuned.tasks:
        for student in tuned.students:
            stages = (tuned.intermediate_of(task, student), tuned.prediction_of(task, student))
            settings = tuple((stage.epochs, stage.batch_size, stage.learning_rate) for stage in stages)
            assert settings == published.get((task, student), original), (task, student)
            assert {stage.weight_decay for stage in stages} == {1e-4}
    apart = {"profile", "pairs"}
    assert tuned.model_dump(exclude=apart) == paper.model_dump(exclude=apart)


def test_glue_local_is_glue_mini_from_other_sources(paper):
    mini, local = (load(ROOT / "profiles" / f"{name}.yaml") for name in ("glue-mini", "glue-local"))
    glue = list(local.tasks)
    for params in (mini, local):
        assert [params.tasks[name].data.source for name in glue] == glue
    assert {name: mini.sources[name] for name in glue} == {name: paper.sources[name] for name in glue}
    elsewhere = {"profile", "sources", "models"}
    assert mini.model_dump(exclude=elsewhere) == local.model_dump(exclude=elsewhere)
    assert (mini.models.base, mini.models.mlm) == (local.models.base, None)
    assert not [name for name, source in mini.sources.items() if source.kind == "path"]  # anyone can have them


def test_paper_takes_the_whole_of_english_wikipedia(paper):
    (files,) = (numbered(name) for name in paper.sources[paper.corpus.source].files)
    assert len(files) == 41
    assert files[0] == "20231101.en/train-00000-of-00041.parquet"
    assert files[-1] == "20231101.en/train-00040-of-00041.parquet"
    assert (paper.corpus.files, paper.general.sequences, paper.general.max_length) == (None, None, 128)
