"""The curves of the paper's Figure 2, computed and not drawn: densities, reliability, scatter."""

import numpy as np
import pandas as pd

from confidistill.confidence.calibration import TOP_LABEL_BINS, reliability
from confidistill.confidence.difference import confidence
from confidistill.confidence.prediction_files import SUM_TOLERANCE
from confidistill.confidence.predictions import Predictions
from confidistill.report.pair import TRAIN, Pair

SCATTER_LIMIT = 2000


def density(values: np.ndarray, low: float, high: float, points: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """Kernel density estimate on the bounded support [low, high].

    f(x) = 1/(N h) sum_i K((x - v_i) / h), K Gaussian, h by Silverman's rule
    0.9 min(std, IQR/1.34) N^(-1/5), and never less than one grid step; mass that would leak over an end is
    reflected at it (Silverman 1986, sections 2.10 and 3.4.2), so that the midpoint sum over the grid is 1.

    Args:
        values: (N,), N >= 1, all within [low, high] as far as probabilities sum to 1.
        low, high: the support.
        points: G, the number of grid cells.

    Returns:
        x: (G,) the cells' midpoints. f: (G,) the density there, per unit of `values`.

    Raises:
        ValueError: `values` is empty or leaves the support.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size or values.min() < low - SUM_TOLERANCE or values.max() > high + SUM_TOLERANCE:
        raise ValueError(f"a density needs at least one value, all within [{low}, {high}]")
    step = (high - low) / points
    counts, edges = np.histogram(values.clip(low, high), bins=points, range=(low, high))
    quartiles = np.subtract(*np.percentile(values, [75, 25])) / 1.34
    spread = min(values.std(), quartiles or values.std())
    bandwidth = max(0.9 * spread * values.size**-0.2, step) / step  # in cells
    reach = int(np.ceil(4 * bandwidth))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / bandwidth) ** 2)
    reflected = np.pad(counts / values.size, reach, mode="symmetric")  # (G + 2 reach,)
    return (edges[:-1] + edges[1:]) / 2, np.convolve(reflected, kernel / kernel.sum(), mode="valid") / step


def confidence_density(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Density of conf(x) (Eq. 2) on its support [1/C, 1]."""
    classes = predictions.probabilities.shape[1]
    return density(confidence(predictions.probabilities), 1 / classes, 1.0)


def difference_density(pair: Pair, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Density of delta(x) (Eq. 3, or as the protocol reads it) on [-1, 1]."""
    return density(pair.difference(split), -1.0, 1.0, points=1000)


def densities(pair: Pair, split: str = TRAIN) -> pd.DataFrame:
    """The three curves of Figure 2 as records: x, density, curve."""
    teacher, student = pair.predictions[split]
    curves = {
        "teacher confidence": confidence_density(teacher),
        "student confidence": confidence_density(student),
        "difference": difference_density(pair, split),
    }
    return pd.concat(
        [pd.DataFrame({"x": x, "density": f, "curve": name}) for name, (x, f) in curves.items()],
        ignore_index=True,
    )


def reliabilities(pair: Pair, split: str = TRAIN) -> pd.DataFrame:
    """Both reliability diagrams, of the predicted class and in the bins of `top_label_ece`, empty ones left out.

    Records: confidence, accuracy, examples, model.
    """
    tables, labels = [], pair.labels(split)
    for name, model in zip(("teacher", "student"), pair.predictions[split], strict=True):
        correct = model.probabilities.argmax(axis=1) == labels
        bins = reliability(confidence(model.probabilities), correct, TOP_LABEL_BINS)
        tables.append(pd.DataFrame(bins).assign(model=name))
    return pd.concat(tables, ignore_index=True)


def scatter(pair: Pair, split: str = TRAIN, *, limit: int = SCATTER_LIMIT, seed: int = 0) -> pd.DataFrame:
    """Both confidences of at most `limit` examples, drawn without replacement: teacher, student, classes."""
    teacher, student = pair.predictions[split]
    rows = np.arange(len(teacher.probabilities))
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    agree = teacher.probabilities[rows].argmax(1) == student.probabilities[rows].argmax(1)
    return pd.DataFrame(
        {
            "teacher": confidence(teacher.probabilities[rows]),
            "student": confidence(student.probabilities[rows]),
            "classes": np.where(agree, "agree", "disagree"),
        }
    )
