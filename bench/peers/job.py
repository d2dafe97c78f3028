"""What every way of distilling is given."""

from dataclasses import dataclass

from bench.shapes import STUDENTS, Shape
from confidistill.distillation.data import Examples
from confidistill.distillation.precision import Precision

BATCH, LENGTH, RATE, DECAY, CLIP = 32, 128, 5e-5, 1e-4, 1.0


@dataclass(frozen=True)
class Job:
    """Stage 1 or 2 of a student on tokenised text, some epochs of it."""

    stage: int
    student: str
    examples: Examples
    epochs: int
    seed: int
    precision: Precision = "fp32"
    """Ours; the others multiply in fp32."""

    @property
    def teacher(self) -> Shape:
        return STUDENTS[self.student][0]

    @property
    def shape(self) -> Shape:
        return STUDENTS[self.student][1]
