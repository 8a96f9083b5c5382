"""Attention taken apart: the same numbers as its formula, in every form that our exporter writes."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadModel
from aquatint.targets.lowering.attention import LOWEST, let_take_apart, take_apart_attention

ir = pytest.importorskip("onnx_ir")

BATCH, HEADS, TOKENS, KEYS, SIZE = 2, 3, 5, 7, 8
# Two ways to sum up the same float32 products; the largest values are about 1.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def attention(query, key, value, scale=None, allowed=None, bias=0.0):
    """softmax(Q K^T scale + bias) V, of (batch, heads, tokens, size).  allowed: booleans."""
    scores = query @ key.swapaxes(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale) + bias
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True) @ value


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


QUERY, KEY, VALUE = numbers(BATCH, HEADS, TOKENS, SIZE), numbers(BATCH, HEADS, KEYS, SIZE), numbers(2, 3, KEYS, SIZE)
FEEDS = {"query": QUERY, "key": KEY, "value": VALUE}
ALLOWED = np.random.default_rng(3).random((BATCH, 1, TOKENS, KEYS)) < 0.5
ALLOWED[..., 0] = True


def graph(sketch, mask=None, tokens=(TOKENS, KEYS), kind="FLOAT", **attributes):
    rows, columns = tokens
    shapes = ("query", rows), ("key", columns), ("value", columns)
    given = [sketch.input(name, BATCH, HEADS, count, SIZE, kind=kind) for name, count in shapes]
    if mask is not None:
        given.append(sketch.constant("mask", mask))
    sketch.output("y", sketch.add("Attention", *given, kind=kind, **attributes), BATCH, HEADS, rows, SIZE)
    return sketch.model()


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize(
    "mask, attributes, expected",
    [
        (None, {}, {}),
        (None, {"scale": 0.2}, {"scale": 0.2}),
        (ALLOWED, {}, {"allowed": ALLOWED}),
        (numbers(TOKENS, KEYS), {}, {"bias": numbers(TOKENS, KEYS)}),
        (None, {"is_causal": 1}, {"allowed": np.tri(TOKENS, KEYS, dtype=bool)}),
        (ALLOWED, {"is_causal": 1}, {"allowed": ALLOWED & np.tri(TOKENS, KEYS, dtype=bool)}),
    ],
    ids=["plain", "scale", "mask", "bias", "causal", "causal and mask"],
)
def test_it_gives_what_the_formula_gives(mask, attributes, expected, sketch, evaluate, check_types):
    model = graph(sketch, mask, **attributes)
    assert take_apart_attention(model) == 1
    assert "Attention" not in operators(model)
    check_types(model)
    (got,) = evaluate(model, FEEDS)
    np.testing.assert_allclose(got, attention(QUERY, KEY, VALUE, **expected), **CLOSE)
    assert take_apart_attention(model) == 0


def test_a_causal_mask_follows_token_counts_that_the_graph_does_not_know(sketch, evaluate, check_types):
    model = graph(sketch, tokens=("rows", "columns"), is_causal=1)
    take_apart_attention(model)
    check_types(model)
    for rows, columns in ((5, 7), (4, 4)):
        feeds = {"query": QUERY[:, :, :rows], "key": KEY[:, :, :columns], "value": VALUE[:, :, :columns]}
        expected = attention(*feeds.values(), allowed=np.tri(rows, columns, dtype=bool))
        np.testing.assert_allclose(evaluate(model, feeds)[0], expected, **CLOSE)


def test_heads_side_by_side_are_split_and_joined(sketch, evaluate, check_types):
    given = [
        sketch.input(name, BATCH, count, HEADS * SIZE) for name, count in (("q", TOKENS), ("k", KEYS), ("v", KEYS))
    ]
    y = sketch.add("Attention", *given, q_num_heads=HEADS, kv_num_heads=HEADS)
    sketch.output("y", y, BATCH, TOKENS, HEADS * SIZE)
    model = sketch.model()
    take_apart_attention(model)
    check_types(model)
    joined = {name: array.swapaxes(1, 2).reshape(BATCH, -1, 24) for name, array in zip("qkv", FEEDS.values())}
    expected = attention(QUERY, KEY, VALUE).swapaxes(1, 2).reshape(BATCH, TOKENS, -1)
    np.testing.assert_allclose(evaluate(model, joined)[0], expected, **CLOSE)


def test_in_float16_a_row_that_is_masked_all_over_stays_finite(sketch, evaluate_rounded, check_types):
    """Where scores are far below zero too: adding the mask to them would reach minus infinity, and NaN."""
    model = graph(sketch, np.zeros((TOKENS, KEYS), bool), kind="FLOAT16", scale=1.0)
    take_apart_attention(model)
    check_types(model)
    kinds = {output.dtype for node in model.graph for output in node.outputs}
    assert kinds == {ir.DataType.FLOAT16}
    feeds = {"query": 30 * np.ones_like(QUERY), "key": -30 * np.ones_like(KEY), "value": VALUE}
    (got,) = evaluate_rounded(model, {name: array.astype(np.float16) for name, array in feeds.items()})
    # The mean of 7 values in float16, which has 11 bits.
    np.testing.assert_allclose(got[0, 0, 0], VALUE[0, 0].mean(0), atol=2e-3)
    assert np.float16(LOWEST) == LOWEST


@pytest.mark.parametrize(
    "change, words",
    [
        ({"softcap": 5.0}, "softcap 5.0"),
        ({"softmax_precision": 10}, "softmax_precision 10"),
    ],
)
def test_an_attribute_of_another_kind_of_model_is_refused(change, words, sketch):
    with pytest.raises(BadModel, match=words):
        take_apart_attention(graph(sketch, **change))


def test_heads_that_share_keys_are_refused_by_the_name_of_the_node(sketch):
    given = [sketch.input(name, BATCH, heads, TOKENS, SIZE) for name, heads in (("q", 4), ("k", 2), ("v", 2))]
    y = sketch.add("Attention", *given)
    y.producer().name = "shared"
    sketch.output("y", y)
    with pytest.raises(BadModel, match=r"Attention shared .* 4 heads of queries that share 2"):
        take_apart_attention(sketch.model())


def test_a_cache_of_keys_is_refused(sketch):
    given = [sketch.input(name, BATCH, HEADS, TOKENS, SIZE) for name in "qkv"]
    past = [sketch.input(name, BATCH, HEADS, KEYS, SIZE) for name in ("past_key", "past_value")]
    outputs = sketch.add("Attention", *given, None, *past, outputs=3)
    sketch.output("y", outputs[0])
    with pytest.raises(BadModel, match="a cache of keys"):
        take_apart_attention(sketch.model())


def test_whole_attention_is_let_be_taken_apart_by_tensorrt(sketch):
    model = graph(sketch)
    assert let_take_apart(model) == 1
    assert let_take_apart(model) == 0
    assert next(iter(model.graph)).attributes["TRT_decomposable"].as_int() == 1
