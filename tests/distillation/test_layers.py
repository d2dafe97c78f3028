"""Which teacher layer each student layer learns from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidistill.distillation.layers import LayerMap, layer_map, uniform_layer_map
from confidistill.errors import UserError


@pytest.mark.parametrize(
    ("teacher", "student", "attention", "hidden"),
    [
        (12, 4, (2, 5, 8, 11), (0, 3, 6, 9, 12)),  # TinyBERT, section 3.1
        (12, 6, (1, 3, 5, 7, 9, 11), (0, 2, 4, 6, 8, 10, 12)),
        (6, 3, (1, 3, 5), (0, 2, 4, 6)),
        (2, 2, (0, 1), (0, 1, 2)),
    ],
)
def test_uniform(teacher, student, attention, hidden):
    assert uniform_layer_map(teacher, student) == LayerMap(attention, hidden)
    assert layer_map("uniform", teacher, student) == LayerMap(attention, hidden)


@given(st.integers(1, 24), st.integers(1, 12))
def test_uniform_ends_at_both_ends_and_steps_evenly(student, k):
    found = uniform_layer_map(student * k, student)
    assert found.hidden[0] == 0 and found.hidden[-1] == student * k
    assert found.attention[-1] == student * k - 1
    # A layer's attention and its output are taken from the same teacher layer: hidden state n is layer n - 1's output.
    assert [layer + 1 for layer in found.attention] == list(found.hidden[1:])


def test_lists_are_taken_as_given():
    assert layer_map({"attention": [0, 3], "hidden": [0, 1, 4]}, 4, 2) == LayerMap((0, 3), (0, 1, 4))


@pytest.mark.parametrize("student", [0, 5, 7, 24])
def test_a_depth_that_does_not_divide_is_refused(student):
    with pytest.raises(UserError, match=f"a student of {student} layers .* teacher of 12: .* must divide"):
        uniform_layer_map(12, student)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"attention": [0, 3]}, r"layer_map\.hidden: needs 3 layers, each in 0\.\.4, not None"),
        ({"attention": [0], "hidden": [0, 1, 4]}, r"layer_map\.attention: needs 2 layers, each in 0\.\.3, not \[0\]"),
        ({"attention": [0, 4], "hidden": [0, 1, 4]}, r"layer_map\.attention: .* not \[0, 4\]"),
        ({"attention": [-1, 3], "hidden": [0, 1, 4]}, r"layer_map\.attention: .* not \[-1, 3\]"),
        ({"attention": [0, 3], "hidden": [0, 1, 5]}, r"layer_map\.hidden: .* not \[0, 1, 5\]"),
        ({"attention": [0, 3], "hidden": [1, 4]}, r"layer_map\.hidden: needs 3 layers"),
    ],
)
def test_lists_that_do_not_fit_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        layer_map(spec, 4, 2)
