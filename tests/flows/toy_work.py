"""The stages of the toy pipeline: `python work.py KIND INPUT OUTPUT [STEPS SEED]`.

The folder TOY_CONTROL lets a test look on and interfere, without DVC seeing a difference: `trace` gets a line at
each start, `pace` holds the seconds of a training step, `fail-<stage>` makes that stage fail.
"""

import os
import sys
import time
from pathlib import Path


def wait(name: str) -> None:
    """As many seconds as the control folder says by now: a test may change its mind meanwhile."""
    started, told = time.monotonic(), control / name
    while time.monotonic() - started < float((told.exists() and told.read_text()) or 0):
        time.sleep(0.05)


control = Path(os.environ["TOY_CONTROL"])
stage = os.environ["DVC_STAGE"]
kind, source, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
with (control / "trace").open("a") as trace:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "-")
    trace.write(f"start {stage} {os.getpid()} {Path.cwd().name} {gpus} {time.time()}\n")

if (control / f"fail-{stage}").exists():
    sys.exit(f"{stage} was told to fail")
output.parent.mkdir(parents=True, exist_ok=True)
text = "".join(path.read_text() for path in ([source] if source.is_file() else sorted(source.rglob("*.txt"))))

if kind == "train":  # a checkpoint a step, outside of the stage's outputs
    steps, seed = int(sys.argv[4]), int(sys.argv[5])
    checkpoint = Path(f"{output}.checkpoint")
    done = checkpoint.read_text().split() if checkpoint.exists() else []
    for step in range(len(done), steps):
        wait("pace")
        done.append(str((step * 7919 + seed * len(text)) % 101))
        checkpoint.write_text(" ".join(done))
        print(f"step {step + 1} of {steps}")
    checkpoint.unlink()
    output.mkdir()
    (output / "weights.txt").write_text(text + " ".join(done))
elif kind == "table":
    output.write_text(f"| pair | holds |\n|---|---|\n| {len(text)} | no |\n")
else:
    wait("pause")
    output.write_text(text.upper() + kind)
    print(f"{kind}: {len(text)} characters")
with (control / "trace").open("a") as trace:
    trace.write(f"end {stage} {os.getpid()} {Path.cwd().name} {gpus} {time.time()}\n")
