"""Which number format a run multiplies in: what the device multiplies natively, and what a measurement says pays."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.nn import functional

from confidistill.architectures.architecture import Architecture
from confidistill.distillation.compatibility import check_precision
from confidistill.files import atomic_file
from confidistill.threads import one_thread

Precision = Literal["fp32", "bf16", "fp16"]
Setting = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PAYS = 1.5  # times fp32's matrix multiply: below, the casts of mixed precision take what the products gain
MEASURED_FOR = 0.1  # seconds


@dataclass(frozen=True)
class Choice:
    """What a setting comes to on this machine; `said` is one line for the user, or nothing to say."""

    precision: Precision
    said: str | None = None
    warning: bool = False
    """Whether the precision is only emulated here."""


def supported(precision: Precision) -> bool:
    """Whether this machine's GPU, or its processor where it has none, multiplies in the precision natively.

    What is not native still trains, emulated: many times slower than fp32.
    """
    if precision == "fp32":
        return True
    if torch.cuda.is_available():
        if precision == "bf16":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cuda.get_device_capability() >= (5, 3)
    if not torch.backends.mkldnn.is_available():
        return False
    if precision == "fp16":
        return torch.ops.mkldnn._is_mkldnn_fp16_supported()
    # oneDNN also takes bf16 on AVX-512 without bf16 products, which it emulates.
    x86 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return x86 or (not torch.cpu._is_avx2_supported() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def half_on_processor(precision: Precision) -> bool:
    """Whether it is half precision, and the processor computes in it: there is no GPU."""
    return precision != "fp32" and not torch.cuda.is_available()


def candidates(setting: Setting) -> tuple[Precision, ...]:
    """What the setting may come to on this machine."""
    if setting != "auto":
        return (setting,)
    return ("fp32", "bf16") if supported("bf16") else ("fp32",)


def resolve(setting: Setting) -> Choice:
    """What `setting` comes to here.

    auto: bf16 where it is native and multiplies matrices at least `PAYS` times as fast as fp32, else fp32. Any other
    setting is itself, with a warning where it is emulated.
    """
    if setting == "auto":
        if "bf16" not in candidates(setting):
            return Choice("fp32", "precision auto: fp32, as bf16 is not native here")
        ratio = speed("bf16")
        chosen: Precision = "bf16" if ratio >= PAYS else "fp32"
        return Choice(chosen, f"precision auto: {chosen}, as bf16 multiplies matrices {ratio:.1f} times as fast here")
    if supported(setting):
        return Choice(setting)
    said = (
        f"{setting} is emulated here and multiplies matrices {speed(setting):.2g} times as fast as fp32: "
        "set precision to auto or fp32"
    )
    return Choice(setting, said, warning=True)


def of_family(setting: Setting, architecture: Architecture) -> Setting:
    """The setting; fp32 in place of auto, which is said, for a family that does not compute in half precision.

    Raises:
        UserError: half precision is asked for, and the family does not compute in it.
    """
    check_precision(architecture, setting)
    if setting == "auto" and not architecture.half:
        print(f"precision auto: fp32, as a {architecture.model_type} computes in nothing else", file=sys.stderr)
        return "fp32"
    return setting


def settle(setting: Setting, record: Path) -> Precision:
    """Resolve, say so and write it into the file `record`; a run that finds one there goes on in its precision."""
    if record.exists():
        begun = next(name for name in candidates(setting) if name == record.read_text())
        if setting == "auto":
            print(f"precision auto: {begun}, as this run began", file=sys.stderr)
        return begun
    choice = resolve(setting)
    if choice.said:
        print(f"warning: {choice.said}" if choice.warning else choice.said, file=sys.stderr)
    with atomic_file(record) as path:
        path.write_text(choice.precision)
    return choice.precision


def speed(precision: Precision) -> float:
    """How many times as fast as in fp32 a linear layer runs in `precision`: the best of each within `MEASURED_FOR`."""
    cuda = torch.cuda.is_available()
    rows, inner, outer = (8192, 768, 3072) if cuda else (128, 384, 768)
    random = torch.Generator().manual_seed(0)
    inputs, weights = torch.randn(rows, inner, generator=random), torch.randn(outer, inner, generator=random)
    both: tuple[Precision, ...] = ("fp32", precision)
    operands = {
        name: [tensor.to("cuda" if cuda else "cpu", DTYPES[name]) for tensor in (inputs, weights)] for name in both
    }

    def multiply(name: Precision) -> float:
        started = time.perf_counter()
        functional.linear(*operands[name])
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started

    with one_thread():
        for name in operands:
            multiply(name)  # the first one also prepares
        best = {name: multiply(name) for name in operands}
        end = time.perf_counter() + MEASURED_FOR
        while time.perf_counter() < end:
            best = {name: min(seconds, multiply(name)) for name, seconds in best.items()}
    return best["fp32"] / best[precision]
