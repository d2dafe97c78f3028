"""A whole project at tiny size: real stages, real files, seconds each. Used by the pipeline's and the flows' tests."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from confidistill.files import sha256

ROOT = Path(__file__).parents[1]
GOOD = ["great", "lovely", "bright", "wonderful", "superb", "charming"]
BAD = ["awful", "boring", "dull", "terrible", "weak", "tedious"]
FILLER = ["the", "film", "plot", "was", "and", "actor", "music", "a", "very", "story", "with", "scene"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentence(rng: random.Random, label: int) -> str:
    """A sentence whose two sentiment words tell its label."""
    words = [*rng.choices(FILLER, k=rng.randint(3, 9)), *rng.choices(GOOD if label else BAD, k=2)]
    rng.shuffle(words)
    return " ".join(words)


def write_table(path: Path, rows: int, seed: int) -> None:
    """A table of distinct labelled sentences, as a user's own CSV."""
    rng = random.Random(seed)
    lines = {sentence(rng, label := index % 2): label for index in range(2 * rows)}
    chosen = list(lines.items())[:rows]
    path.write_text("body,stars\n" + "".join(f"{text},{['bad', 'good'][label]}\n" for text, label in chosen))


def write_tokenizer(folder: Path) -> int:
    """A WordPiece tokenizer with few entries, whose number it returns: whole words for most, letters for the rest."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # "superb" and "tedious" are words of several pieces, as rare words are in a real vocabulary.
    words = [word for word in FILLER + GOOD + BAD if word not in ("superb", "tedious")]
    pieces = [*special, *words, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    return len(vocabulary)


def write_model(folder: Path, *, layers: int = 4, hidden: int = 24, heads: int = 2, masked_lm: bool = False) -> None:
    """A random BERT with that tokenizer."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertModel

    vocabulary = write_tokenizer(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        max_position_embeddings=64,
    )
    (BertForMaskedLM if masked_lm else BertModel)(config).save_pretrained(folder)


def write_vectors(path: Path) -> None:
    """Word vectors in GloVe's text format; words of one sentiment are near each other."""
    rng = random.Random(0)
    lines = []
    for side, words in ((1.0, GOOD), (-1.0, BAD), (0.0, FILLER)):
        lines += [" ".join([word, f"{side}", *(f"{rng.gauss(0, 0.3):.4f}" for _ in range(4))]) for word in words]
    path.write_text("\n".join(lines) + "\n")


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def params(assets: Path, **changes) -> dict:
    """The quickstart's params over tiny assets: one task plain, one augmented with the masked LM; one student."""
    content = YAML(typ="safe").load(ROOT / "profiles" / "quickstart.yaml")
    content["profile"] = "tiny"
    content["sources"] = {
        "table": {"kind": "path", "path": str(assets / "table"), "files": files_of(assets / "table")},
        "unlabelled": {
            "kind": "path",
            "path": str(assets / "unlabelled.csv"),
            "sha256": sha256(assets / "unlabelled.csv"),
        },
        "base": {"kind": "path", "path": str(assets / "base"), "files": files_of(assets / "base")},
        "mlm": {"kind": "path", "path": str(assets / "mlm"), "files": files_of(assets / "mlm")},
        "vectors": {
            "kind": "path",
            "path": str(assets / "vectors.txt"),
            "sha256": sha256(assets / "vectors.txt"),
        },
        "corpus": {
            "kind": "path",
            "path": str(assets / "corpus.txt"),
            "sha256": sha256(assets / "corpus.txt"),
        },
    }
    content["models"] = {"base": "base", "mlm": "mlm"}
    content["vectors"] = {"source": "vectors", "member": None, "limit": 1000}
    content["corpus"] = {"source": "corpus", "files": None}
    task = content["tasks"]["products"] | {
        "data": {
            "format": "table",
            "source": "table",
            "train": "train.csv",
            "dev": "dev.csv",
            "text": "body",
            "text_pair": None,
            "label": "stars",
        },
        "max_length": 32,
    }
    transfer = {"format": "table", "source": "unlabelled", "file": "unlabelled.csv", "text": "body", "text_pair": None}
    content["tasks"] = {
        "plain": task,
        "varied": task | {"transfer": transfer},
    }
    content["selection"] = "dev"
    content["augment"] = {"plain": None, "varied": content["augment"]["products"] | {"variants": 1, "candidates": 4}}
    student = content["students"]["S_2L"] | {"hidden_size": 16, "intermediate_size": 32, "attention_heads": 2}
    content["students"] = {"S_2L": student}
    content["pairs"] = {f"{task}-S_2L": {"intermediate": {}, "prediction": {}} for task in ("plain", "varied")}
    for section in ("teacher", "general", "intermediate", "prediction"):
        content[section] |= {"batch_size": 16, "epochs": 1, "checkpoint_steps": 2, "precision": "fp32"}
    content["teacher"] |= {"epochs": 4, "learning_rate": 3e-3}
    content["general"] |= {"sequences": 64, "max_length": 16}
    return content | changes


def write_assets(folder: Path) -> Path:
    """Data, models, vectors and text of the tiny project."""
    (folder / "table").mkdir(parents=True)
    write_table(folder / "table" / "train.csv", 96, seed=1)
    write_table(folder / "table" / "dev.csv", 40, seed=2)
    write_table(folder / "unlabelled.csv", 20, seed=4)
    write_model(folder / "base")
    write_model(folder / "mlm", layers=1, masked_lm=True)
    write_vectors(folder / "vectors.txt")
    rng = random.Random(3)
    (folder / "corpus.txt").write_text("\n".join(sentence(rng, index % 2) for index in range(400)) + "\n")
    return folder


def write_project(folder: Path, assets: Path, **changes) -> Path:
    """A git and DVC repository with this project's code as it stands and tiny params, committed."""
    return write_clone(folder, params(assets, **changes))


def write_clone(folder: Path, content: dict) -> Path:
    """A git and DVC repository with this project's code as it stands and the params of `content`, committed."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.splitlines():
        if name.startswith(("tests/", "results/", "docs/")) or name == "dvc.lock" or not (ROOT / name).exists():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    YAML(typ="safe").dump(content, folder / "params.yaml")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "tiny"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a Python module in the project, as its user would: its own code first on the path, one thread."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
    if command[0] == "dvc":  # as in an activated environment; our own commands see to it themselves
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def metrics(folder: Path, task: str, student: str) -> dict:
    return json.loads((folder / "results" / task / student / "metrics.json").read_text())
