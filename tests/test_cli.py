"""The commands as their user runs them: real processes, real files, exit codes, one line a mistake."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from confidistill.confidence.prediction_files import write_predictions
from confidistill.errors import UserError
from tests.shared import SHARED, needs

ROOT = Path(__file__).parents[1]
PUBLISHED = SHARED / "published"
COMMAND = [sys.executable, "-m", "confidistill.cli"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

HEADER = "pred,p0,p1,label\n"
TEACHER = HEADER + "0,0.9,0.1,0\n1,0.2,0.8,1\n" * 20
NEAR = HEADER + "0,0.88,0.12,0\n1,0.24,0.76,1\n" * 20
FAR = HEADER + "0,0.6,0.4,0\n1,0.4,0.6,1\n" * 20


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)


def assert_one_line(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not done.stdout


@pytest.fixture
def folder(tmp_path):
    for name, text in {"teacher": TEACHER, "near": NEAR, "far": FAR}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


# check


def test_check_holds(folder):
    done = run("check", "teacher.csv", "near.csv", "--json", "new/out.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    # delta 0.02 and 0.04: RMS sqrt(0.001); class 0, both right: 0.02 and -0.04, deviation 0.03.
    assert "HOLDS: sigma 0.031623 <= kappa 0.05 (protocol definition)" in done.stdout
    for line in ("accuracy                 100.00% -> 100.00%", "agreement                100.00%"):
        assert line in done.stdout
    assert "sigma, released          0.030000, " in done.stdout
    assert "leaves out 0.00% of the rows" in done.stdout
    written = json.loads((folder / "new/out.json").read_text())
    assert (written["holds"], written["verdict"], written["rows_needed"]) == (True, "holds", 1197)
    assert (written["protocol"], written["kappa"], written["examples"]) == ("definition", 0.05, 40)
    assert written["sigma"] == pytest.approx(np.sqrt(0.001))
    assert written["sigma_released"] == pytest.approx(0.03)


def test_check_fails(folder):
    done = run("check", "teacher.csv", "far.csv", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("FAILS: sigma 0.254951 > kappa 0.05")
    assert "of different class     0.000000, of the same class 0.254951" in done.stdout


def test_check_by_another_protocol_and_kappa(folder):
    assert run("check", "teacher.csv", "near.csv", "--kappa", "0.0302", cwd=folder).returncode == 1
    done = run("check", "teacher.csv", "near.csv", "--kappa", "0.0302", "--protocol", "released", cwd=folder)
    assert done.returncode == 0
    assert "HOLDS: sigma 0.030000 <= kappa 0.0302 (protocol released)" in done.stdout


def test_check_says_what_is_too_close_to_call(folder):
    # sigma^2 is (4 + 12 s) / 10,000, s the share of the second kind of row: 0.5, and 0.35 to 0.65 over resampled rows.
    done = run("check", "teacher.csv", "near.csv", "--kappa", "0.032", "--json", "out.json", cwd=folder)
    assert done.returncode == 1
    assert "OPEN: sigma 0.031623 <= kappa 0.032 is too close to call: over resampled rows" in done.stdout
    written = json.loads((folder / "out.json").read_text())
    assert (written["holds"], written["verdict"]) == (True, "open")


def test_check_says_what_means_nothing(folder):
    (folder / "majority.csv").write_text(HEADER + "0,0.7,0.3,0\n" * 26 + "0,0.69,0.31,1\n" * 14)
    done = run("check", "majority.csv", "majority.csv", "--json", "out.json", cwd=folder)
    assert done.returncode == 1
    assert "NOT MEANINGFUL: the teacher does not beat the majority class: accuracy 65.0% (at least" in done.stdout
    written = json.loads((folder / "out.json").read_text())
    assert (written["holds"], written["verdict"]) == (True, "not meaningful")
    (folder / "one.csv").write_text(HEADER + "0,0.7,0.3,0\n")
    done = run("check", "one.csv", "one.csv", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.endswith("NOT MEANINGFUL: 1 rows: a verdict needs at least 30 (protocol definition)\n")


def test_a_certificate_needs_more_rows_than_a_verdict(folder):
    done = run("check", "teacher.csv", "near.csv", "--certify", cwd=folder)
    assert done.returncode == 1
    assert "HOLDS" in done.stdout
    assert "NOT CERTIFIED: sigma <= " in done.stdout
    assert "no bound can be from fewer than 1,197 rows, these are 40" in done.stdout
    for name, text in {"teacher": TEACHER, "near": NEAR}.items():
        (folder / f"many-{name}.csv").write_text(HEADER + text.removeprefix(HEADER) * 100)
    done = run("check", "many-teacher.csv", "many-near.csv", "--certify", "--json", "out.json", cwd=folder)
    assert done.returncode == 0, done.stdout
    written = json.loads((folder / "out.json").read_text())
    assert 0.031623 < written["sigma_upper"] < written["sigma_upper_bernstein"] < written["sigma_upper_hoeffding"]
    assert written["certified"] is True and written["sigma_upper"] <= 0.05
    assert f"CERTIFIED: sigma <= {written['sigma_upper']:.6f} <= kappa 0.05 with 95 % confidence" in done.stdout


def test_check_without_labels(folder):
    for name, text in {"teacher": TEACHER, "near": NEAR}.items():
        pd.read_csv(io.StringIO(text))[["p0", "p1"]].to_csv(folder / f"bare-{name}.csv", index=False)
    bare = ["check", "bare-teacher.csv", "bare-near.csv"]
    assert_one_line(run(*bare, cwd=folder), "no column 'label': its columns are p0, p1: add it, or judge --unlabelled")
    done = run(*bare, "--unlabelled", "--json", "out.json", "--plot", "plot.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "HOLDS: sigma 0.031623 <= kappa 0.05" in done.stdout
    assert "accuracy" not in done.stdout and "ECE" not in done.stdout
    written = json.loads((folder / "out.json").read_text())
    assert written["accuracy_teacher"] is written["ece_student"] is written["majority"] is None
    assert written["sigma"] == pytest.approx(np.sqrt(0.001))


def test_check_of_words_and_of_rounded_probabilities(folder):
    words = TEACHER.replace(",0\n", ",bad\n").replace(",1\n", ",good\n")
    (folder / "words.csv").write_text(words.replace("0.9,0.1", "0.9,0.11"))
    done = run("check", "words.csv", "near.csv", "--classes", "bad, good", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "note: words.csv: 20 rows of rounded probabilities sum to 1 to 1.01: each row was divided by its sum\n"
    )
    done = run("check", "words.csv", "near.csv", cwd=folder)
    assert_one_line(done, "words.csv: row 1, column 'label': 'bad' is not a number: name the classes")


def test_check_needs_numpy_and_pandas_only(folder):
    pd.read_csv(folder / "near.csv").to_parquet(folder / "near.parquet")
    program = (
        "import sys; sys.modules |= dict.fromkeys(['pyarrow', 'torch', 'transformers', 'datasets', 'matplotlib'])\n"
        "from confidistill.cli import main; main()"
    )

    def check(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, "check", "teacher.csv", name]
        return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)

    done = check("near.csv")
    assert done.returncode == 0, done.stderr
    assert_one_line(check("near.parquet"), "near.parquet: Parquet needs pyarrow: `pip install 'confidistill[parquet]'`")


def test_a_defect_is_no_verdict(folder):
    program = (
        "import sys; import confidistill.cli as cli\n"
        "cli.check_files = None\n"
        "sys.argv = ['confidistill', 'check', 'teacher.csv', 'near.csv']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 70
    assert "TypeError" in done.stderr


def test_check_of_parquet_logits_and_many_classes(folder):
    labels = np.arange(50) % 4
    logits = np.random.default_rng(0).normal(size=(50, 4)) + 4 * np.eye(4)[labels]
    table = pd.DataFrame({f"logit{index}": logits[:, index] for index in range(4)} | {"text": "x", "label": labels})
    table.to_parquet(folder / "teacher.parquet")
    write_predictions(folder / "student.csv", logits + 1, labels)  # softmax sees no difference
    done = run("check", "teacher.parquet", "student.csv", "--json", "out.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out.json").read_text())["sigma"] == pytest.approx(0, abs=1e-12)


def test_check_of_undefined_measures(folder):
    (folder / "wrong.csv").write_text("p0,p1,label\n" + "0.1,0.9,0\n0.8,0.2,1\n" * 20)
    done = run("check", "teacher.csv", "wrong.csv", "--json", "out.json", cwd=folder)
    assert done.returncode == 1
    assert "undefined: both models are right on no example" in done.stdout
    assert json.loads((folder / "out.json").read_text())["sigma_released"] is None
    done = run("check", "teacher.csv", "wrong.csv", "--protocol", "released", "--json", "other.json", cwd=folder)
    assert done.returncode == 1
    assert "NOT MEANINGFUL: 0 rows that both models get right" in done.stdout
    assert json.loads((folder / "other.json").read_text())["holds"] is False


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_check_draws_the_densities(folder, suffix):
    done = run("check", "teacher.csv", "far.csv", "--plot", f"plot.{suffix}", cwd=folder)
    assert done.returncode == 1
    drawn = (folder / f"plot.{suffix}").read_bytes()
    assert drawn.startswith(b"<?xml" if suffix == "svg" else b"\x89PNG")
    assert len(drawn) > 10_000
    assert sorted(path.name for path in folder.iterdir()) == ["far.csv", "near.csv", f"plot.{suffix}", "teacher.csv"]


MISTAKES = {
    "no file": ("none.csv", None, (), "none.csv: no such file"),
    "lengths": ("s.csv", NEAR + "0,0.7,0.3,0\n", (), "teacher.csv has 40 rows, s.csv has 41"),
    "labels": ("s.csv", NEAR[:-2] + "0\n", (), "row 40: label 1 against 0"),
    "outside": ("s.csv", NEAR.replace("0.88", "1.88"), (), "s.csv: row 1, column 'p0': 1.88 is outside 0 to 1"),
    "sum": ("s.csv", NEAR.replace("0.88", "0.78"), (), "s.csv: row 1: p0 to p1 sum to 0.9, not to 1"),
    "NaN": ("s.csv", NEAR.replace("0.76", "nan"), (), "s.csv: row 2, column 'p1': 'nan' is not a finite number"),
    "column": ("s.csv", NEAR.replace("label", "gold"), (), "s.csv: no column 'label'"),
    "class": ("s.csv", "p0,label\n1,0\n1,1\n", (), "s.csv: a single class, 'p0'"),
    "fields": ("s.csv", NEAR + "0,0.7\n", (), "s.csv: row 41: 2 fields, not 4"),
    "both": ("s.csv", "p1,logit0,logit1,label\n0.1,0,0,0\n", (), "s.csv: row 1: p0 is 0.9, the logits' softmax 0.5"),
    "empty": ("s.csv", "", (), "s.csv: no column 'label'"),
    "kappa 0": ("near.csv", None, ("--kappa", "0"), "kappa must lie between 0 and 1, not 0"),
    "kappa below 0": ("near.csv", None, ("--kappa", "-0.05"), "kappa must lie between 0 and 1, not -0.05"),
    "kappa 1": ("near.csv", None, ("--kappa", "1"), "kappa must lie between 0 and 1, not 1"),
    "kappa NaN": ("near.csv", None, ("--kappa", "nan"), "kappa must lie between 0 and 1, not nan"),
    "kappa infinite": ("near.csv", None, ("--kappa", "inf"), "kappa must lie between 0 and 1, not inf"),
    "certified": ("near.csv", None, ("--certify", "--protocol", "released"), "--certify: protocol 'released' looks"),
    "unlabelled": ("near.csv", None, ("--unlabelled", "--protocol", "released"), "--unlabelled: protocol 'released'"),
    "protocol": ("near.csv", None, ("--protocol", "strict"), "unknown protocol 'strict': use definition or released"),
    "plot": ("near.csv", None, ("--plot", "plot.pdf"), "plot.pdf: a plot is a .png or .svg file"),
    "JSON in a folder": ("near.csv", None, ("--json", "."), ".: Is a directory"),
    "JSON under a file": ("near.csv", None, ("--json", "far.csv/out.json"), "far.csv: File exists"),
}


@pytest.mark.parametrize(("name", "text", "options", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_check_names_the_mistake(folder, name, text, options, message):
    if text is not None:
        (folder / name).write_text(text)
    before = sorted(folder.iterdir())
    assert_one_line(run("check", "teacher.csv", name, *options, cwd=folder), message)
    assert sorted(folder.iterdir()) == before


def test_usage_errors_are_told_from_a_verdict(folder):
    for arguments in (["check", "teacher.csv"], ["check", "teacher.csv", "near.csv", "--kappa", "x"], ["unheard-of"]):
        done = run(*arguments, cwd=folder)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("options", "output"), [(["--json", "/dev/full"], os.devnull), ([], "/dev/full")])
def test_a_full_disk_is_one_line(folder, options, output):
    command = [*COMMAND, "check", "teacher.csv", "near.csv", *options]
    with Path(output).open("w") as stdout:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No space left on device")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_failure_of_ours(folder):
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, "check", "teacher.csv", "near.csv"]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE
    assert not done.stderr


def test_interrupted(folder):
    rows = "0,0.9,0.1,0\n1,0.2,0.8,1\n" * 20_000
    (folder / "long.csv").write_text("pred,p0,p1,label\n" + rows)
    program = (  # Ctrl-C a moment after the start, when all is imported and there is work for a second
        "import os, signal, sys; from confidistill.cli import main\n"
        "sys.argv = ['confidistill', 'check', 'long.csv', 'long.csv', '--json', 'out.json']\n"
        "signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 130
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert not (folder / "out.json").exists()


def test_check_imports_what_it_needs(folder):
    program = (
        "import sys; from confidistill.cli import app\n"
        "try: app(['check', 'teacher.csv', 'near.csv'])\n"
        "except SystemExit: print(*{'torch', 'transformers', 'datasets', 'matplotlib', 'tasks'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout.endswith("(protocol definition)\n\n"), done.stdout


def test_help_lists_the_commands_of_the_upper_layers(folder):
    done = run("--help", cwd=folder)
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line.strip()]
    assert {"check", "compare", "audit", "use", "report", "doctor"} <= set(listed)


# audit


def published_like(folder: Path) -> Path:
    """Two tasks: `one` with an untuned and a tuned student, `two` with another."""
    random = np.random.default_rng(0)
    for task, students in {"one": ["student-S", "student-S-tuned"], "two": ["student-S"]}.items():
        for split in ("train", "dev"):
            labels = random.integers(0, 2, 200)
            logits = 3 * np.eye(2)[labels] + random.normal(size=(200, 2))
            write_predictions(folder / task / "teacher" / f"{split}.csv", logits, labels)
            for student in students:
                spread = 0.1 if "tuned" in student else 1.0
                noisy = logits + spread * random.normal(size=logits.shape)
                if "tuned" in student and split == "dev":
                    noisy[:60] = noisy[:60, ::-1]  # sure of the other class
                write_predictions(folder / task / student / f"{split}.csv", noisy, labels)
    return folder


def test_audit_writes_the_table(tmp_path):
    published_like(tmp_path / "published")
    done = run("audit", "published", "--output", "table.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "holds for 1 of 3 students" in done.stdout
    table = pd.read_csv(tmp_path / "table.csv").set_index(["task", "student", "split"])
    assert len(table) == 6
    assert table.loc[("one", "S-tuned", "Tr"), "verdict"] == "holds"
    assert table.loc[("one", "S", "Tr"), "verdict"] == "fails"
    assert str(table.loc[("one", "S-tuned", "Tr"), "guard"]) == "True"
    assert str(table.loc[("one", "S-tuned", "dev"), "guard"]) == "False"
    assert table.loc[("one", "S", "dev")].isna()["guard"]
    assert "untuned -> tuned" in done.stdout


@pytest.mark.parametrize("suffix", ["csv", "md", "tex", "html"])
def test_audit_of_tuned_against_untuned(tmp_path, suffix):
    published_like(tmp_path / "published")
    done = run("audit", "published", "--tuned", f"table3.{suffix}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / f"table3.{suffix}").read_text()
    row = {"csv": "one,S,", "md": "| one | S | ", "tex": "one & S & ", "html": "<td>one</td>"}[suffix]
    assert text.count(row) == (2 if suffix == "csv" else 1)  # a row a split, or a row a student
    assert "LOST" in text or suffix == "csv"


@pytest.mark.parametrize("suffix", ["md", "json"])
def test_audit_in_other_forms(tmp_path, suffix):
    published_like(tmp_path / "published")
    done = run("audit", "published", "--output", f"table.{suffix}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / f"table.{suffix}").read_text()
    if suffix == "json":
        assert [row["task"] for row in json.loads(text)] == ["one"] * 4 + ["two"] * 2
    else:
        assert text.count("\n") == 2 + 6
        assert text.startswith("| task | student | split |")


def test_a_terminal_of_ascii_gets_the_table_too(tmp_path):
    published_like(tmp_path / "published")
    command = [*COMMAND, "audit", "published"]
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"s definition [95 %]" in done.stdout and b"fails > holds" in done.stdout


def test_audit_names_what_is_missing(tmp_path):
    assert_one_line(run("audit", "nowhere", cwd=tmp_path), "nowhere: no such folder")
    (tmp_path / "published").mkdir()
    assert_one_line(run("audit", "published", cwd=tmp_path), "published: no task folder in it")
    (tmp_path / "published" / "one" / "teacher").mkdir(parents=True)
    assert_one_line(
        run("audit", "published", cwd=tmp_path), "one: needs a folder 'teacher' and at least one 'student-NAME'"
    )
    (tmp_path / "published" / "one" / "student-S").mkdir()
    assert_one_line(run("audit", "published", cwd=tmp_path), "train.csv: no such file")
    published_like(tmp_path / "published")
    (tmp_path / "published" / "two" / "student-S" / "dev.csv").write_text(TEACHER)
    done = run("audit", "published", "--output", "rest.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("not audited: two S dev: ") and " has 200 rows, " in done.stderr
    assert done.stderr.count("\n") == 1
    rest = pd.read_csv(tmp_path / "rest.csv")
    assert rest[["task", "student", "split"]].to_numpy().tolist()[-1] == ["two", "S", "Tr"]
    assert len(rest) == 5
    done = run("audit", published_like(tmp_path / "other"), "--output", "table.xlsx", cwd=tmp_path)
    assert_one_line(done, "table.xlsx: write the table as .csv, .json, .md")


@needs("published")
def test_audit_of_the_published_predictions(tmp_path):
    done = run("audit", PUBLISHED, "--protocol", "released", "--output", "table.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds for 4 of 14 students" in done.stdout
    problems = done.stderr.splitlines()  # MRPC's students were run on other rows than its teacher
    students = ["4L", "4L-tuned", "6L", "6L-tuned"]
    assert [problem.split(": ")[1] for problem in problems] == [f"MRPC {student} dev" for student in students]
    assert all("has 408 rows" in problem and "has 1725" in problem for problem in problems)
    table = pd.read_csv(tmp_path / "table.csv").set_index(["task", "student", "split"])
    assert len(table) == 24
    train = table.xs("Tr", level="split")

    def reached(protocol: str, verdict: str) -> list[tuple[str, str]]:
        return list(train.index[train[f"verdict_{protocol}"] == verdict])

    assert reached("released", "holds") == [
        ("CoLA", "6L-tuned"),
        ("MRPC", "6L-tuned"),
        ("SST-2", "4L"),
        ("SST-2", "6L"),
    ]
    assert reached("released", "open") == [("MRPC", "4L-tuned"), ("RTE", "6L-tuned")]
    assert reached("definition", "holds") == [("SST-2", "6L")]
    assert reached("definition", "open") == [("CoLA", "6L-tuned")]
    assert table["guard"].dropna().astype(bool).all()  # tuning cost no student a point


# compare


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Random classifiers of three classes: BERT, itself with its classes reversed, DistilBERT; and a bare BERT."""
    torch = pytest.importorskip("torch")
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertForSequenceClassification,
        DistilBertConfig,
        DistilBertForSequenceClassification,
    )

    from tests.tiny import write_model

    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "bare", layers=1)
    names = {0: "bad", 1: "fair", 2: "good"}
    shared = {"vocab_size": 200, "max_position_embeddings": 64, "id2label": names}
    torch.manual_seed(1)
    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "initializer_range": 0.5}
    bert = BertForSequenceClassification(BertConfig(hidden_size=16, intermediate_size=16, **small, **shared))
    bert.save_pretrained(folder / "bert")
    bert.config.id2label = {index: names[2 - index] for index in range(3)}
    bert.config.label2id = {name: index for index, name in bert.config.id2label.items()}
    with torch.no_grad():
        bert.classifier.weight.copy_(bert.classifier.weight.flip(0))
        bert.classifier.bias.copy_(bert.classifier.bias.flip(0))
    bert.save_pretrained(folder / "reversed")
    distilbert = DistilBertConfig(dim=16, hidden_dim=16, n_layers=1, n_heads=2, initializer_range=0.5, **shared)
    DistilBertForSequenceClassification(distilbert).save_pretrained(folder / "distilbert")
    tokenizer = AutoTokenizer.from_pretrained(folder / "bare")
    for name in ("bert", "reversed", "distilbert"):
        tokenizer.save_pretrained(folder / name)
    texts = ["the film was great", "a dull plot", "the music was very charming and bright", "a story"] * 10
    classes = ["good", "bad", "good", "fair"] * 10
    pd.DataFrame({"body": texts, "title": texts[::-1], "stars": classes}).to_csv(folder / "table.csv", index=False)
    ids = [{name: index for index, name in names.items()}[label] for label in classes]
    pd.DataFrame({"body": texts, "stars": ids}).to_json(folder / "ids.jsonl", orient="records", lines=True)
    return folder


def compare(models: Path, student: str, *options: object, data: str = "table.csv", label: str = "stars"):
    columns = ["--data", data, "--text", "body", "--label", label]
    return run("compare", "--teacher", "bert", "--student", student, *columns, "--max-length", 32, *options, cwd=models)


def test_compare_matches_classes_by_name(models, tmp_path):
    done = compare(models, "reversed", "--text-pair", "title", "--json", tmp_path / "out.json")
    assert done.returncode == 1, done.stderr
    measured = json.loads((tmp_path / "out.json").read_text())
    assert (measured["holds"], measured["verdict"]) == (True, "not meaningful")  # random weights have learnt nothing
    assert measured["sigma"] == pytest.approx(0, abs=1e-6)
    assert measured["agreement"] == 1
    assert measured["accuracy_teacher"] == measured["accuracy_student"]
    assert measured["examples"] == 40


def test_compare_of_another_architecture_and_of_ids(models, tmp_path):
    from confidistill.classifiers import open_classifier
    from confidistill.confidence.measures import measure
    from confidistill.confidence.predictions import from_logits

    done = compare(models, "distilbert", "--json", tmp_path / "out.json", data="ids.jsonl")
    assert done.returncode == 1, done.stderr
    table = pd.read_csv(models / "table.csv").rename(columns={"body": "text"})[["text", "stars"]]
    labels = table["stars"].map({"bad": 0, "fair": 1, "good": 2}).to_numpy()
    logits = [open_classifier(models / name, max_length=32).logits(table) for name in ("bert", "distilbert")]
    expected = measure(*(from_logits(values, labels) for values in logits))
    measured = json.loads((tmp_path / "out.json").read_text())
    assert measured["sigma"] > 0.05
    for name, value in expected.items():
        assert measured[name] == (None if np.isnan(value) else pytest.approx(value, abs=1e-6)), name


def test_compare_names_the_mistake(models):
    done = compare(models, "bert", label="title")
    assert_one_line(done, "table.csv: line 2: unknown label 'a story': the labels are bad, fair, good")


def test_models_that_cannot_be_compared(models):
    from typer.testing import CliRunner

    from confidistill.cli import app

    def refusal(student: str, *options: str) -> str:
        files = ["--teacher", models / "bert", "--student", models / student, "--data", models / "table.csv"]
        given = ["compare", *files, "--text", "body", "--label", "stars", "--max-length", "32", *options]
        error = CliRunner().invoke(app, list(map(str, given))).exception
        assert isinstance(error, UserError), error
        assert "\n" not in str(error)
        return str(error)

    assert "bare has LABEL_0, LABEL_1: give both the same names" in refusal("bare")
    assert "nowhere/config.json: no such file" in refusal("nowhere")
    assert "bert takes at most 64 tokens, not 65: lower max_length" in refusal("bert", "--max-length", "65")
    headless = models / "headless"
    shutil.copytree(models / "bare", headless)
    config = json.loads((models / "bare" / "config.json").read_text())
    (headless / "config.json").write_text(json.dumps(config | {"id2label": {"0": "bad", "1": "fair", "2": "good"}}))
    assert "headless: no classifier: its weights lack classifier.bias" in refusal("headless")
    (headless / "model.safetensors").write_bytes(b"not weights")
    assert "headless: Error while deserializing header" in refusal("headless")
    (headless / "config.json").write_text(
        json.dumps(config | {"model_type": "mine", "auto_map": {"AutoConfig": "a.B"}})
    )
    assert "custom code" in refusal("headless")
    (headless / "config.json").write_text("{")
    assert "headless/config.json: " in refusal("headless")
    (headless / "model.safetensors").rename(headless / "pytorch_model.bin")
    assert "headless/model.safetensors: no such file" in refusal("headless")
