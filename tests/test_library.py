"""The library's surface: what docs/library.md says runs, the running metric, the callback of a Trainer."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import confidistill
from confidistill import PairwiseConfidence, UserError, check, measure, sigma

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "library.md").read_text()


def problem(rows: int = 200, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, rows)
    logits = 3 * np.eye(classes)[labels] + random.normal(size=(rows, classes))
    return logits, logits + random.normal(size=logits.shape), labels


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = "".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.M))
    exec(compile(program, "docs/library.md", "exec"), {})
    assert "HOLDS: sigma" in capsys.readouterr().out


def test_the_surface_is_light_and_whole(tmp_path):
    program = (
        "import sys, confidistill\n"
        "print(*{'numpy', 'pandas', 'torch'} & set(sys.modules))\n"
        "confidistill.check, confidistill.PairwiseConfidence, confidistill.UserError\n"
        "print(*{'torch', 'transformers', 'typer', 'tqdm', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "\n\n", done.stderr
    for name in confidistill.__all__:
        assert getattr(confidistill, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'gamma'"):
        _ = confidistill.gamma


def test_a_verdict_shows_itself():
    logits, student, labels = problem()
    verdict = check(logits, student, labels, logits=True, by=labels, kappa=0.2)
    page = verdict._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 2
    assert verdict.explained in str(verdict) and "sigma" in str(verdict)
    assert verdict.to_dict()["verdict"] == verdict.outcome and len(verdict.to_dict()["groups"]) == 3
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    with pytest.raises(AttributeError, match="no attribute or measure 'sigmoid'"):
        _ = verdict.sigmoid
    with pytest.raises(AttributeError):
        verdict.kappa = 0.3


def test_tensors_and_one_column_are_arrays_too():
    import torch

    logits, student, labels = problem(classes=2)
    first, second = (torch.tensor(values).softmax(1).requires_grad_() for values in (logits, student))
    expected = sigma(logits, student, logits=True)
    assert sigma(first, second) == pytest.approx(expected)
    assert sigma(first[:, 1], second[:, 1].tolist()) == pytest.approx(expected)
    assert measure(first, second, torch.tensor(labels))["accuracy_teacher"] > 0.8


REFUSED = {
    "shape": (([0.5, 0.5], [[0.5, 0.5]]), {}, "the teacher's array is of shape (2, 2), the student's of (1, 2)"),
    "dimensions": (([[[0.5]]], [[[0.5]]]), {}, "teacher: an array of shape (1, 1, 1): give one of (examples, classes)"),
    "range": (([[1.5, -0.5]], [[1, 0]]), {}, "teacher: row 1, column 'p0': 1.5 is outside 0 to 1"),
    "NaN": (([[1, 0]], [[float("nan"), 0]]), {}, "student: row 1, column 'p0': empty or nan"),
    "labels": (([[1, 0]], [[1, 0]], [0, 1]), {}, "teacher: 1 rows, and labels of shape (2,): give a label a row"),
    "label": (([[1, 0]], [[1, 0]], [2]), {}, "teacher: row 1, column 'label': 2 is not a class"),
    "kappa": (([[1, 0]], [[1, 0]]), {"kappa": 1}, "kappa must lie between 0 and 1, not 1"),
    "protocol": (([[1, 0]], [[1, 0]]), {"protocol": "released"}, "protocol 'released' looks only at rows that both"),
    "unknown": (([[1, 0]], [[1, 0]]), {"protocol": "strict"}, "unknown protocol 'strict'"),
    "one file": (("a.csv", [[1, 0]]), {}, "teacher and student are both files, or both arrays"),
    "labels of files": (("a.csv", "b.csv", [0]), {}, "labels and logits are for arrays"),
    "no file": (("a.csv", "b.csv"), {}, "a.csv: no such file"),
    "by": (([[1, 0]], [[1, 0]]), {"by": [1, 2]}, "by: 2 values for 1 rows: give one a row"),
    "no rows": ((np.empty((0, 2)), np.empty((0, 2))), {}, "teacher: no rows: give at least one prediction"),
}


@pytest.mark.parametrize(("arguments", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_unusable_input_is_one_line(arguments, options, message):
    with pytest.raises(UserError) as raised:
        check(*arguments, **options)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_the_running_metric_is_that_of_all_rows():
    logits, student, labels = problem()
    expected = measure(logits, student, labels, logits=True)
    parts = [slice(0, 1), slice(1, 90), slice(90, 200)]
    metrics = []
    for rows in parts:
        metric = PairwiseConfidence(logits=True)
        alone = metric(logits[rows], student[rows], labels[rows])
        assert alone["examples"] == rows.stop - rows.start
        metrics.append(pickle.loads(pickle.dumps(metric)))  # as another process's
    metrics[0].merge([*metrics[1:], PairwiseConfidence()])
    computed = metrics[0].compute()
    assert set(expected) - set(computed) == {
        name for name in expected if name.endswith(("low", "high")) or "upper" in name
    }
    for name, value in computed.items():
        assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name
    with pytest.raises(ValueError, match="labelled rows and unlabelled"):
        metrics[0].update(logits, student)
    metrics[0].reset()
    with pytest.raises(ValueError, match="call update first"):
        metrics[0].compute()


def test_a_trainer_logs_sigma_at_each_evaluation(tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    from confidistill import ConfidenceCallback

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, max_position_embeddings=8, **sizes))
    rows = [{"input_ids": torch.randint(0, 20, (6,)), "labels": index % 2} for index in range(24)]
    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=2, eval_strategy="epoch", report_to=[], use_cpu=True, disable_tqdm=True,
        save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="sigma", greater_is_better=False,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)
    teacher = torch.rand(24, 2).softmax(1)
    with pytest.raises(UserError, match="the teacher's array has 23 rows, the data set 24"):
        ConfidenceCallback(trainer, rows, teacher[:23])
    trainer.add_callback(ConfidenceCallback(trainer, rows, teacher))
    trainer.train()
    logged = [entry["eval_sigma"] for entry in trainer.state.log_history if "eval_sigma" in entry]
    assert len(logged) == 2
    assert trainer.state.best_metric == min(logged)
    student = trainer.predict(rows).predictions  # of the best epoch, which is loaded
    assert min(logged) == pytest.approx(sigma(teacher, torch.tensor(student).softmax(1)), abs=1e-6)
