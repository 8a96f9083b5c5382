"""Rules and layers: who gets what, why, and what is refused before any work."""

import pytest

from aquatint.quantize.assign import Rule, assign, check_rules, full_settings, unmet
from aquatint.quantize.layers import Layer
from aquatint.quantize.scheme import find_scheme
from aquatint.runtime.errors import BadProfile, UnknownName

QUERY = Layer("down.0.attn1.to_q", "linear", (320, 320), "a", turned=True)
KEY = Layer("down.0.attn2.to_k", "linear", (320, 768), "b", turned=True)
ODD = Layer("time.linear", "linear", (64, 17), "c")
CONV = Layer("conv_in", "conv", (320, 4, 3, 3), "d")
LAYERS = [QUERY, KEY, ODD, CONV]
KEEP = Rule("none")


def given(rules, default=KEEP, component="", layers=LAYERS):
    return {found.layer.name: found for found in assign(layers, rules, default, component)}


def schemes(*args, **kwargs):
    return [found.scheme for found in given(*args, **kwargs).values()]


def test_without_rules_every_layer_gets_the_default():
    assert schemes([]) == ["none"] * 4
    assert schemes([], Rule("int8-weights")) == ["int8-weights"] * 4


def test_the_first_rule_that_matches_holds():
    rules = [Rule("nf4", layers="*.to_q"), Rule("int4", layers="*.attn?.*"), Rule("int8-weights", kind="conv")]
    assert schemes(rules) == ["nf4", "int4", "none", "int8-weights"]


def test_none_keeps_a_layer_from_later_rules():
    assert schemes([Rule("none", layers="conv_in"), Rule("int8-weights")])[3] == "none"


def test_layers_come_in_their_own_order_with_a_reason():
    found = given([Rule("int8-weights", layers="*.to_q")])
    assert list(found) == [layer.name for layer in LAYERS]
    assert found[QUERY.name].reason == "the rule *.to_q of * -> int8-weights"
    assert found[KEY.name].reason == "the default"


@pytest.mark.parametrize("scheme", ["int4", "nf4"])
def test_a_convolution_that_should_get_4_bits_gets_8(scheme):
    found = given([Rule(scheme)])[CONV.name]
    assert (found.scheme, found.settings) == ("int8-weights", {})
    assert found.reason == f"{scheme} is for linear layers only, so int8-weights"


def test_a_rule_may_name_another_way_out():
    assert given([Rule("int4", fallback="none")])[CONV.name].scheme == "none"
    assert given([Rule("int4", fallback="nf4")])[CONV.name].scheme == "int8-weights"  # nf4 refuses it as well
    assert "so nf4; nf4 is for linear" in given([Rule("int4", fallback="nf4")])[CONV.name].reason


def test_a_group_size_that_does_not_divide_gives_way_to_the_largest_that_does():
    found = given([Rule("int4", settings={"group_size": 128})])
    assert found[QUERY.name].settings == full_settings("int4", {"group_size": 64})
    assert found[QUERY.name].reason == "groups of 64, as 128 does not divide 320 inputs"
    assert found[KEY.name].settings["group_size"] == 128


def test_inputs_that_no_group_divides_get_8_bits():
    found = given([Rule("int4")])[ODD.name]
    assert found.scheme == "int8-weights"
    assert found.reason == "17 inputs can't be divided into groups of 32, 64, 128, so int8-weights"


def test_weights_that_no_block_divides_get_8_bits():
    odd = Layer("odd", "linear", (3, 17), "w")
    assert schemes([], Rule("nf4"), layers=[odd, ODD]) == ["int8-weights", "nf4"]


def test_sizes_are_known_beforehand():
    found = given([Rule("int4", layers="*.to_q"), Rule("int8-weights", kind="conv")])
    assert found[QUERY.name].size_bytes == 320 * 320 // 2 + 4 * 320 * 320 // 64
    assert found[CONV.name].size_bytes == 320 * 36 + 4 * 320
    assert found[KEY.name].size_bytes is None


def test_a_rule_for_another_component_is_not_asked():
    rules = [Rule("int4", component="unet"), Rule("int8-weights", component="text*")]
    assert schemes(rules, component="vae_decoder") == ["none"] * 4
    assert schemes(rules, component="text_encoder_2") == ["int8-weights"] * 4
    assert schemes(rules, component="unet")[0] == "int4"


@pytest.mark.parametrize("component", ["", "unet"])
def test_a_rule_that_matches_no_layer_is_refused_with_names_that_there_are(component):
    rule = Rule("int4", layers="*.to_qkv", kind="linear", component="unet")
    with pytest.raises(BadProfile, match=r"\*\.to_qkv \(linear\) of unet -> int4 matches no layer; .*attn1\.to_q"):
        assign(LAYERS, [rule], KEEP, component)


def test_a_rule_for_several_components_may_miss_one_of_them():
    rule = Rule("int4", layers="conv_in")
    assert schemes([rule], component="text_encoder", layers=[QUERY]) == ["none"]
    check_rules([rule], {"text_encoder": [QUERY], "unet": [CONV]})
    with pytest.raises(BadProfile, match="matches no layer"):
        check_rules([rule], {"text_encoder": [QUERY], "unet": []})


def test_a_rule_for_no_component_is_refused_with_those_that_there_are():
    rule = Rule("int4", component="unett")
    with pytest.raises(BadProfile, match="unett -> int4 matches no component; there are text_encoder, unet"):
        check_rules([rule], {"text_encoder": [QUERY], "unet": [CONV]})


@pytest.mark.parametrize(
    "rule, nearest",
    [
        (Rule("int4", layers="*.to_w"), "down.0.attn1.to_q (linear) and down.0.attn2.to_k (linear)"),
        (Rule("int4", layers="Conv_In"), "conv_in (conv) and"),
        (Rule("int4", layers="time.linear.*"), "time.linear (linear) and"),
        (Rule("int4", layers="conv_in", kind="linear"), "conv_in (conv) and"),
    ],
)
def test_a_rule_that_was_mistyped_is_told_what_it_may_have_meant(rule, nearest):
    with pytest.raises(BadProfile) as refusal:
        check_rules([rule], {"unet": LAYERS})
    assert f"matches no layer; the nearest are {nearest}" in str(refusal.value)


def test_layers_that_do_not_get_what_is_asked_are_counted_by_reason():
    found = assign(LAYERS, [Rule("int4", settings={"group_size": 128})], KEEP)
    assert unmet(found) == {
        "groups of 64, as 128 does not divide 320 inputs": 1,
        "17 inputs can't be divided into groups of 32, 64, 128, so int8-weights": 1,
        "int4 is for linear layers only, so int8-weights": 1,
    }
    assert unmet(assign(LAYERS, [], Rule("int8-weights"))) == {}
    assert unmet(assign([CONV], [Rule("int4", fallback="none")], KEEP)) == {
        "int4 is for linear layers only, so none": 1
    }


def test_a_pattern_minds_its_case():
    with pytest.raises(BadProfile):
        assign(LAYERS, [Rule("int4", layers="CONV_IN")], KEEP)


def test_unknown_words_are_refused_when_the_rule_is_made():
    with pytest.raises(UnknownName, match=r"unknown scheme 'int3'; known: .*int4, .*int8_weights, .*nf4"):
        Rule("int3")
    with pytest.raises(UnknownName, match="unknown scheme 'int3'"):
        Rule("int4", fallback="int3")
    with pytest.raises(BadProfile, match="unknown kind 'dense'; known: linear, conv"):
        Rule("int4", kind="dense")
    with pytest.raises(BadProfile, match="int4 has no setting groups; known: group_size, symmetric"):
        Rule("int4", settings={"groups": 64})
    with pytest.raises(BadProfile, match="none has no settings"):
        Rule("none", settings={"group_size": 64})


@pytest.mark.parametrize("settings", [{"group_size": 48}, {"group_size": True}, {"group_size": "64"}, {"symmetric": 1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(BadProfile, match="int4"):
        full_settings("int4", settings)


def test_what_is_left_out_has_its_default():
    full = full_settings("int4", {"group_size": 32})
    assert full == {**find_scheme("int4").SETTINGS, "group_size": 32}
    assert full["symmetric"] is True
