"""Import of published students: TinyBERT's names, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.published import import_checkpoint
from confidistill.distillation.student import StudentShape, build_student, load_student
from confidistill.errors import UserError
from tests import tiny

SHAPE = StudentShape(layers=2, hidden_size=16, intermediate_size=32, attention_heads=2)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    tiny.write_model(folder)
    return folder


@pytest.fixture(scope="module")
def student(teacher):
    student = build_student(
        BertModel.from_pretrained(teacher),
        SHAPE,
        initialisation="random",
        layer_map=uniform_layer_map(4, 2),
        seed=0,
    )
    for tensor in student.state_dict().values():  # biases and LayerNorms are constants at the start
        tensor.add_(torch.rand(tensor.shape))
    return student


def tinybert(student, *, prefix="bert.", old_layer_norm=True):
    """The weights under the names of the TinyBERT authors' checkpoints, with the heads of pretraining."""
    state = {}
    for name, tensor in student.state_dict().items():
        name = name.replace("projection.", "fit_dense.").replace("encoder.", prefix, 1)
        if old_layer_norm:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        state[name] = tensor.clone()
    state["cls.predictions.bias"] = torch.zeros(7)
    state["cls.seq_relationship.weight"] = torch.zeros(2, 16)
    state[f"{prefix}embeddings.position_ids"] = torch.arange(64)[None]
    return state


def write(folder, state):
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("prefix", ["bert.", ""])
@pytest.mark.parametrize("old_layer_norm", [True, False])
def test_round_trip(teacher, student, tmp_path, prefix, old_layer_norm):
    state = tinybert(student, prefix=prefix, old_layer_norm=old_layer_norm)
    assert (f"{prefix}encoder.layer.1.output.LayerNorm.gamma" in state) == old_layer_norm
    import_checkpoint(write(tmp_path / "theirs", state), teacher, tmp_path / "ours", shape=SHAPE)
    found = load_student(tmp_path / "ours").state_dict()
    expected = student.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert (tmp_path / "ours" / "tokenizer.json").exists()


def refused(state_or_folder, teacher, tmp_path, *, shape=SHAPE):
    folder = write(tmp_path / "theirs", state_or_folder) if isinstance(state_or_folder, dict) else state_or_folder
    with pytest.raises(UserError) as error:
        import_checkpoint(folder, teacher, tmp_path / "ours", shape=shape)
    assert not (tmp_path / "ours").exists()
    return str(error.value).removeprefix(f"{folder / 'model.safetensors'}: ")


def test_a_missing_key_is_named(teacher, student, tmp_path):
    state = tinybert(student)
    del state["fit_dense.bias"]
    assert refused(state, teacher, tmp_path).startswith("missing key 'fit_dense.bias' (1 in all)")


def test_an_unexpected_key_is_named_as_in_the_file(teacher, student, tmp_path):
    state = tinybert(student) | {"bert.encoder.layer.2.output.LayerNorm.gamma": torch.zeros(16)}
    message = refused(state, teacher, tmp_path)
    assert message.startswith("unexpected key 'bert.encoder.layer.2.output.LayerNorm.gamma' (1 in all)")


def test_a_deeper_shape_names_the_first_layer_that_lacks(teacher, student, tmp_path):
    deeper = StudentShape(4, 16, 32, 2)
    message = refused(tinybert(student), teacher, tmp_path, shape=deeper)
    assert message.startswith("missing key 'bert.encoder.layer.2.attention.self.query.weight' (32 in all)")


def test_another_size_is_named(teacher, student, tmp_path):
    state = tinybert(student) | {"bert.embeddings.word_embeddings.weight": torch.zeros(9, 16)}
    rows = BertConfig.from_pretrained(teacher).vocab_size
    message = refused(state, teacher, tmp_path)
    assert message == f"'bert.embeddings.word_embeddings.weight' has shape (9, 16), the student needs ({rows}, 16)"


def test_other_numbers_of_heads_are_refused(teacher, student, tmp_path):
    message = refused(tinybert(student), teacher, tmp_path, shape=StudentShape(2, 16, 32, 4))
    assert message.startswith("the student has 4 attention heads, the teacher 2")


def test_a_pickle_is_refused_unread(teacher, student, tmp_path):
    (tmp_path / "theirs").mkdir()
    # Not a pickle at all: only its name is looked at.
    (tmp_path / "theirs" / "pytorch_model.bin").write_bytes(b"\0")
    message = refused(tmp_path / "theirs", teacher, tmp_path)
    assert message.startswith("no such file: it has pytorch_model.bin, a pickle, which can run code")
    assert "docs/own-data.md" in message


def test_no_weights_at_all(teacher, tmp_path):
    (tmp_path / "theirs").mkdir()
    assert refused(tmp_path / "theirs", teacher, tmp_path) == "no such file: put the weights there"


def test_a_broken_file_is_refused(teacher, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "model.safetensors").write_bytes(b"not weights")
    assert refused(tmp_path / "theirs", teacher, tmp_path).startswith("not a safetensors file: ")


def test_of_several_processes_one_writes(teacher, student, tmp_path, monkeypatch):
    folder = write(tmp_path / "theirs", tinybert(student))
    for rank in ("1", "0"):
        assert not (tmp_path / "ours").exists()
        monkeypatch.setenv("RANK", rank)
        import_checkpoint(folder, teacher, tmp_path / "ours", shape=SHAPE)
    assert (tmp_path / "ours").exists()
