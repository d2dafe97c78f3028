"""Every family goes the whole way at tiny size: teacher, student, both stages, a resumed run, a judged student."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from confidistill.architectures import ARCHITECTURES, architecture_of
from confidistill.architectures.architecture import model_inputs
from confidistill.classifiers import open_classifier
from confidistill.confidence.measures import measure
from confidistill.confidence.predictions import from_logits
from confidistill.distillation import precision
from confidistill.distillation import training as loop
from confidistill.distillation.features import feature_loss, ready
from confidistill.distillation.finetuning import finetune_teacher
from confidistill.distillation.general import start_student
from confidistill.distillation.intermediate import distill_intermediate
from confidistill.distillation.layers import uniform_layer_map
from confidistill.distillation.losses import attention_loss
from confidistill.distillation.prediction import distill_prediction
from confidistill.distillation.scores import capture_scores, forward
from confidistill.distillation.student import PROJECTION, StudentShape, build_student
from confidistill.distillation.terms import Term
from confidistill.errors import UserError
from tests import families
from tests.distillation import stages
from tests.distillation.stages import LABELS, contents, table

SCORED = [name for name, family in ARCHITECTURES.items() if family.scores]
SCORELESS = [name for name in ARCHITECTURES if name not in SCORED]
SHAPE = StudentShape(layers=1, hidden_size=16, intermediate_size=32, attention_heads=4)
NARROW = replace(SHAPE, hidden_size=8, intermediate_size=16)
TRAINING = replace(stages.TRAINING, epochs=1, learning_rate=1e-3, warmup_ratio=0.0)
ROWS, LENGTH = 28, 16  # 4 steps, the last of half a batch


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request, tmp_path_factory):
    """base/, and a teacher of it."""
    path = tmp_path_factory.mktemp(request.param)
    families.write_model(path / "base", request.param)
    finetune(path, path / "teacher", TRAINING)
    return path


def finetune(folder, output, training):
    finetune_teacher(
        folder / "base",
        table(ROWS, seed=1),
        table(8, seed=2),
        output,
        label_names=LABELS,
        max_length=LENGTH,
        training=training,
        metric="accuracy",
        checkpoints=folder / "checkpoints",
    )


def with_logits(folder, rows):
    logits = open_classifier(folder, max_length=LENGTH).logits(rows)
    return rows.assign(logit0=logits[:, 0], logit1=logits[:, 1])


def stage_1(folder, start, output):
    distill_intermediate(
        folder / "teacher",
        start,
        table(ROWS, seed=1),
        output,
        max_length=LENGTH,
        training=TRAINING,
        checkpoints=output.with_name(f"{output.name}.checkpoints"),
    )


def stage_2(folder, start, output):
    distill_prediction(
        start,
        with_logits(folder / "teacher", table(ROWS, seed=1)),
        with_logits(folder / "teacher", table(8, seed=2)),
        output,
        label_names=LABELS,
        max_length=LENGTH,
        training=TRAINING,
        metric="accuracy",
        dropout=0.0,
        checkpoints=output.with_name(f"{output.name}.checkpoints"),
    )


def stopped_at(step, stage, monkeypatch):
    def stop(self, args, state, control, **_):
        if state.global_step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Flow, "on_step_begin", stop)
        stage()


def assert_resumed(stage, folder, start, output, monkeypatch):
    """A stage that is stopped and run again leaves the bytes of one that is not."""
    resumed = folder / f"{output}-resumed"
    stopped_at(3, lambda: stage(folder, folder / start, resumed), monkeypatch)
    stage(folder, folder / start, resumed)
    stage(folder, folder / start, folder / output)
    assert contents(resumed) == contents(folder / output)


def test_a_family_goes_the_whole_way(folder, monkeypatch, capsys):
    model_type = json.loads((folder / "base/config.json").read_text())["model_type"]
    start_student(
        folder / "base", folder / "general", shape=SHAPE, initialisation="teacher", layer_map="uniform", seed=7
    )
    assert_resumed(stage_1, folder, "general", "whole", monkeypatch)
    said = capsys.readouterr().out
    silent = f"{model_type} gives no attention scores: hidden states alone are matched" not in said
    assert silent == (model_type in SCORED)

    assert_resumed(stage_2, folder, "whole", "student", monkeypatch)

    dev = with_logits(folder / "teacher", table(8, seed=2))
    student = AutoModelForSequenceClassification.from_pretrained(folder / "student")  # as anybody loads it
    assert (student.config.model_type, student.config.num_hidden_layers) == (model_type, 1)
    labels = dev["label"].to_numpy()
    ours = open_classifier(folder / "student", max_length=LENGTH).logits(dev)
    measured = measure(from_logits(dev[["logit0", "logit1"]].to_numpy(), labels), from_logits(ours, labels))
    assert 0 < measured["sigma"] < 1


def test_a_narrower_student_goes_on_where_it_was_stopped(folder, monkeypatch):
    """With its projection, which stage 1 trains, too; families that keep their width refuse to start one."""
    model_type = json.loads((folder / "base/config.json").read_text())["model_type"]
    arguments = {"shape": NARROW, "initialisation": "teacher", "layer_map": "uniform", "seed": 7}
    if not ARCHITECTURES[model_type].narrower:
        with pytest.raises(UserError, match="hidden_size 8 is not the teacher's 16"):
            start_student(folder / "base", folder / "narrow", **arguments)
        return
    start_student(folder / "base", folder / "narrow", **arguments)
    assert_resumed(stage_1, folder, "narrow", "narrow-1", monkeypatch)
    assert_resumed(stage_2, folder, "narrow-1", "narrow-2", monkeypatch)
    start, trained = (load_file(folder / name / PROJECTION)["weight"] for name in ("narrow", "narrow-1"))
    assert trained.shape == (16, 8)
    assert not torch.equal(trained, start)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_half_precision(tmp_path, capsys, monkeypatch, model_type):
    """As torch computes it, even where it is emulated; one family does not, and is told of or goes on in fp32."""
    monkeypatch.setattr(precision, "supported", lambda _: True)
    monkeypatch.setattr(precision, "speed", lambda _: 2.0)
    families.write_model(tmp_path / "base", model_type)

    def train(setting):
        finetune(tmp_path, tmp_path / setting, replace(TRAINING, precision=setting))
        return json.loads((tmp_path / setting / "history.json").read_text())[0]["precision"]

    half = ARCHITECTURES[model_type].half
    assert train("auto") == ("bf16" if half else "fp32")
    assert (f"precision auto: fp32, as a {model_type} computes in nothing else" in capsys.readouterr().err) != half
    if not half:
        with pytest.raises(UserError, match=f"^precision bf16: a {model_type} computes in fp32 alone: set precision"):
            train("bf16")


@pytest.fixture(params=ARCHITECTURES)
def batch_of(request):
    """A random model of 4 layers in evaluation mode, and a batch of what it takes with rows of 9, 3 and 5 tokens."""
    from transformers import AutoModel

    torch.manual_seed(0)
    model = AutoModel.from_config(families.config(request.param, layers=4)).eval()
    mask = (torch.arange(9) < torch.tensor([[9], [3], [5]])).long()
    torch.manual_seed(1)
    ids = torch.randint(5, 90, (3, 9)) * mask
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return model, batch


def masked(scores, mask, window):
    """Probabilities of scores, as of a model that attends to real tokens within a window."""
    places = torch.arange(mask.shape[1])
    hidden = (mask == 0)[:, None, None, :]
    if window is not None:
        hidden = hidden | ((places[:, None] - places).abs() > window)
    return scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)


@torch.no_grad()
def test_a_teacher_in_half_precision_says_the_same_when_its_weights_are_cast_once(batch_of):
    model, batch = batch_of
    if not architecture_of(model.config).half:
        pytest.skip("it computes in fp32 alone")
    capture_scores(model)
    with torch.autocast("cpu", torch.bfloat16):
        before = forward(model, **batch)
        ready(model, model.device)
        after = forward(model, **batch)
    assert sum(weight.dtype == torch.bfloat16 for weight in model.parameters()) >= 8
    for one, other in zip((*before.hidden_states, *before.scores), (*after.hidden_states, *after.scores), strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
def test_scores_are_those_before_eagers_softmax(batch_of):
    model, batch = batch_of
    architecture = architecture_of(model.config)
    assert architecture.scores == model._can_set_attn_implementation()
    inputs = {key: batch[key] for key in model_inputs(model)}
    model.set_attn_implementation("eager")
    expected = model(**inputs, output_attentions=True, output_hidden_states=True)
    capture_scores(model)
    found = forward(model, **inputs)
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs)
    if not architecture.scores:
        assert found.scores == ()
        return
    assert len(found.scores) == 4 and found.scores[0].shape == (3, 4, 9, 9)
    for layer, (scores, probabilities) in enumerate(zip(found.scores, expected.attentions, strict=True)):
        window = architecture.window(model.config, layer)
        torch.testing.assert_close(masked(scores, batch["attention_mask"], window), probabilities)


@pytest.mark.parametrize("width", [16, 8])
def test_a_student_starts_as_its_teacher(batch_of, width):
    """Of the teacher's shape: a loss of 0. Narrower: the embedding output is on the teacher's principal components."""
    model, batch = batch_of
    architecture, layers = architecture_of(model.config), uniform_layer_map(4, 4 if width == 16 else 2)
    shape = StudentShape(len(layers.attention), width, 2 * width, 4)
    if width < 16 and not architecture.narrower:
        with pytest.raises(UserError, match="hidden_size 8 is not the teacher's 16"):
            build_student(model, shape, initialisation="random", layer_map=layers, seed=0)
        return
    student = build_student(model, shape, initialisation="teacher", layer_map=layers, seed=0)
    loss = feature_loss(model, student, layers, "ignore")
    value = loss(student.eval(), batch)
    value.backward()
    without = [name for name, weight in student.named_parameters() if weight.requires_grad and weight.grad is None]
    assert without == []  # several processes wait for the gradient of every weight that is to be trained
    if width == 16:
        assert value == 0
        return
    basis = student.projection.weight
    torch.testing.assert_close(basis.T @ basis, torch.eye(8))
    own, whole = (next(iter(part_of(one, architecture.tables[0]).parameters())) for one in (student.encoder, model))
    if architecture.projection and own.shape == whole.shape:
        torch.testing.assert_close(own, whole)
    else:
        torch.testing.assert_close(own, whole @ basis)


@torch.no_grad()
def test_a_student_as_narrow_as_the_tables_needs_no_projection():
    from transformers import AutoModel

    model = AutoModel.from_config(families.config("electra", embedding_size=8))
    layers = uniform_layer_map(2, 2)
    shape = StudentShape(layers=2, hidden_size=8, intermediate_size=16, attention_heads=4)
    student = build_student(model, shape, initialisation="teacher", layer_map=layers, seed=0)
    own, whole = (one.embeddings.word_embeddings.weight for one in (student.encoder, model))
    expected = whole @ model.embeddings_project.weight.T @ student.projection.weight
    torch.testing.assert_close(own, expected)


def part_of(model, path):
    return model.get_submodule(path)


def test_a_window_leaves_out_what_no_layer_reads():
    student, teacher = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    teacher[0, 0, 0, 3] = 10.0  # farther than 2
    teacher[0, 0, 0, 2] = 4.0
    mask = torch.ones(1, 4)
    assert attention_loss(student, teacher, mask) == pytest.approx((100 + 16) / 16)
    assert attention_loss(student, teacher, mask, window=2) == pytest.approx(16 / 14)
    assert attention_loss(student, teacher, mask, "reference", window=2) == pytest.approx(16 / 16)


def test_a_students_layers_have_the_windows_of_those_they_learn_from():
    from transformers import AutoModel

    model = AutoModel.from_config(families.config("modernbert", layers=4))
    layers = uniform_layer_map(4, 2)
    student = build_student(model, SHAPE_2, initialisation="random", layer_map=layers, seed=0)
    assert model.config.layer_types == ["full_attention", "sliding_attention"] * 2
    assert student.encoder.config.layer_types == ["sliding_attention"] * 2


SHAPE_2 = StudentShape(layers=2, hidden_size=16, intermediate_size=32, attention_heads=4)


def test_attention_alone_is_refused_where_there_are_no_scores(tmp_path):
    from transformers import AutoModel

    model = AutoModel.from_config(families.config("mpnet"))
    layers = uniform_layer_map(2, 2)
    student = build_student(model, SHAPE_2, initialisation="random", layer_map=layers, seed=0)
    with pytest.raises(UserError, match="mpnet gives no attention scores: name hidden or embedding, too"):
        feature_loss(model, student, layers, "ignore", [Term("attention")])
