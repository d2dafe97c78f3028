"""The authors' own predictions: every figure that is known of them, by an independent computation."""

from pathlib import Path

import pytest

from confidistill.confidence.certificate import measure
from confidistill.confidence.predictions import read_pair

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "published"
pytestmark = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared: the published predictions")

# task, student, split: teacher's accuracy and ECE, student's, in %; sigma by the released protocol and its tolerance:
# half of the last digit of a recomputed value, or of a printed one that was found to agree.
KNOWN = [
    ("SST-2", "6L", "train", (98.4, 3.6), (98.0, 3.6), 0.026, 5e-4),
    ("SST-2", "4L", "train", (98.4, 3.6), (97.0, 3.5), 0.0459, 5e-5),
    ("SST-2", "6L", "dev", (93.0, 1.6), (91.4, 1.3), 0.0549, 5e-5),
    ("SST-2", "4L", "dev", (93.0, 1.6), (89.4, 2.9), 0.075, 5e-4),
    ("RTE", "6L", "train", (94.8, 22.1), (84.3, 14.9), 0.062, 5e-4),
    ("RTE", "4L", "train", (94.8, 22.1), (86.5, 21.0), 0.1001, 5e-5),
    ("RTE", "6L", "dev", (65.3, 9.0), (66.8, 9.9), 0.0921, 5e-5),
    ("RTE", "4L", "dev", (65.3, 9.0), (60.6, 2.5), 0.107, 5e-4),
    ("RTE", "6L-tuned", "train", (94.8, 22.1), (84.6, None), 0.05061, 5e-6),
    ("RTE", "4L-tuned", "train", (94.8, 22.1), (88.5, None), 0.0695, 5e-5),
    ("RTE", "6L-tuned", "dev", (65.3, 9.0), (66.4, None), None, None),
    ("RTE", "4L-tuned", "dev", (65.3, 9.0), (62.5, None), None, None),
]


@pytest.mark.parametrize(("task", "student", "split", "of_teacher", "of_student", "sigma", "tolerance"), KNOWN)
def test_published_figures(task, student, split, of_teacher, of_student, sigma, tolerance):
    folder = PUBLISHED / task
    pair = read_pair(folder / "teacher" / f"{split}.csv", folder / f"student-{student}" / f"{split}.csv")
    measured = measure(*pair, resamples=1)
    for model, (accuracy, ece) in {"teacher": of_teacher, "student": of_student}.items():
        assert 100 * measured[f"accuracy_{model}"] == pytest.approx(accuracy, abs=0.05)
        if ece is not None:
            assert 100 * measured[f"ece_{model}"] == pytest.approx(ece, abs=0.05)
    if sigma is not None:
        assert measured["sigma_released"] == pytest.approx(sigma, abs=tolerance)


def test_by_definition_sst2_6l_holds():
    folder = PUBLISHED / "SST-2"
    measured = measure(*read_pair(folder / "teacher/train.csv", folder / "student-6L/train.csv"), resamples=1)
    assert measured["sigma"] == pytest.approx(0.0409, abs=5e-5)
