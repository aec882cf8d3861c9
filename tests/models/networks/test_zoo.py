"""The networks' counts and wirings against the published ones."""

import pytest

from squeezelerator.models.networks import zoo
from squeezelerator.spec.network.layer import NETWORK_INPUT

EXACT = {
    # weights, weights and trained extras as networks.md counts them, MAC with bias
    "1.0-SqNxt-23": (705_728, 717_280, 281_991_768),
    "1.0-G-SqNxt-23": (531_520, 543_072, 228_183_512),
    "1.0-SqNxt-23v5": (915_648, 930_016, 228_018_984),
    "2.0-SqNxt-23": (2_339_008, 2_361_728, 749_258_568),
    "2.0-SqNxt-23v5": (3_194_560, 3_222_912, 707_986_920),
    "AlexNet": (60_954_656, 60_965_224, 725_066_088),
    "SqueezeNet v1.0": (1_244_448, 1_248_424, 837_119_208),
    "SqueezeNet v1.1": (1_231_552, 1_235_496, 351_741_288),
    "Tiny Darknet": (1_036_720, None, 494_529_952),
    "MobileNet": (4_209_088, None, 573_784_040),
}
WITH_ONE_BIAS_A_FILTER = {"Tiny Darknet": 1_039_912, "MobileNet": 4_221_032}


@pytest.mark.parametrize("name", EXACT)
def test_exact_counts(name):
    network = zoo.network(name)
    weights, trained, macs = EXACT[name]
    assert network.table.params == weights
    assert network.table.macs_with_bias == macs
    if trained is not None:
        assert network.trainable_params == trained
    else:
        filters = sum(layer.c_o for layer in network.table.layers if layer.has_weights)
        assert weights + filters == WITH_ONE_BIAS_A_FILTER[name]


@pytest.mark.parametrize("name", [
    name for name in zoo.names(test_only=False) if zoo.network(name).params_published and name != "vgg19"
])  # fmt: skip
def test_counts_meet_what_the_paper_prints(name):
    """One unit of the last printed digit; the 34-module networks are inferred and meet it within 4%."""
    network = zoo.network(name)
    digits = len(str(network.params_published).partition(".")[2])
    unit = max(10**-digits, 0.04 * network.params_published if "34" in name else 0)
    assert network.trainable_params / 1e6 == pytest.approx(network.params_published, abs=unit)
    if network.macs_published:
        assert network.table.macs_with_bias == pytest.approx(network.macs_published, abs=1e6)


def test_unknown_network():
    with pytest.raises(zoo.UnknownNetwork, match="^unknown network 'resnet50'; there are sqnxt23, sqnxt23v2, "):
        zoo.get("resnet50")


@pytest.mark.parametrize(("given", "name"), [
    ("1.0-SqNxt-23v5", "sqnxt23v5"), ("2.0-SqNxt-23-v5", "sqnxt23v5_w2"), ("1.0-G-SqNxt-23", "gsqnxt23"),
    ("SqueezeNet", "squeezenet1_0"), ("Tiny DarkNet", "tiny_darknet"), ("1.0-SqNxt-44-IDA", "sqnxt44_ida"),
    ("VGG-19", "vgg19"), ("1.5-SqNxt-34", "sqnxt34_w1_5"),
])  # fmt: skip
def test_names_of_the_papers(given, name):
    assert zoo.canonical(given) == name


def test_every_network_ends_in_one_output_of_its_classes():
    for name in zoo.names(test_only=False):
        table = zoo.get(name)
        classes = 10 if name == "digits" else 1000
        assert [table.by_name[output].out_shape for output in table.outputs] == [(classes, 1, 1)]


def test_the_two_wirings_of_a_first_block():
    baseline, fifth = zoo.get("sqnxt23").by_name, zoo.get("sqnxt23v5").by_name
    entry = baseline["stage2_block1_squeeze1"]
    assert (entry.inputs, entry.s_x, entry.c_i, entry.c_o) == (("stage1_block6_add",), 2, 32, 32)
    entry = fifth["stage2_block1_squeeze1"]
    assert (entry.inputs, entry.s_x, entry.c_i, entry.c_o) == (("stage2_block1_shortcut",), 1, 64, 32)
    for table in (baseline, fifth):
        assert table["stage2_block1_add"].inputs == ("stage2_block1_expand", "stage2_block1_shortcut")


def test_the_separable_pair_alternates_over_the_whole_network():
    kernels = [(layer.k_w, layer.k_h) for layer in zoo.get("sqnxt23v5").layers if "_sep" in layer.name]
    assert kernels == ([(1, 3), (3, 1), (3, 1), (1, 3)] * 11)[:42]
    assert all(layer.p_h == (layer.k_h == 3) for layer in zoo.get("sqnxt23v5").layers if "_sep" in layer.name)


def test_pool1_is_in_ceil_mode():
    assert zoo.get("sqnxt23").by_name["pool1"].out_shape == (64, 55, 55)
    assert zoo.get("sqnxt23v5").by_name["pool1"].out_shape == (64, 56, 56)


SEED_ROWS = {
    # MAC in thousands and their number, from the published table of 1.0-SqNxt-23 (one block of each kind)
    "conv1": 116_705, "stage1_block1_shortcut": 6_292, "stage1_block1_squeeze1": 3_146, "stage1_block1_squeeze2": 411,
    "stage1_block1_sep3x1": 1_210, "stage1_block1_sep1x3": 2_372, "stage1_block1_expand": 1_646,
    "stage2_block1_shortcut": 1_656, "stage2_block1_squeeze1": 828, "stage3_block1_shortcut": 1_631,
    "stage4_block1_shortcut": 1_618, "stage4_block1_squeeze1": 809, "stage4_block1_expand": 1_618, "conv_last": 1_612,
    "fc1000": 129,
}  # fmt: skip


@pytest.mark.parametrize("name", SEED_ROWS)
def test_rows_of_the_published_layer_table(name):
    assert zoo.get("sqnxt23").by_name[name].macs_with_bias / 1000 == pytest.approx(SEED_ROWS[name], abs=0.51)


def test_groups_stand_where_the_group_variant_has_them():
    for layer in zoo.get("gsqnxt23").layers:
        assert layer.groups == (2 if "squeeze1" in layer.name or "_sep" in layer.name else 1)


def test_aggregation_reads_every_stage():
    table = zoo.get("sqnxt23_ida")
    nodes = [layer for layer in table.layers if layer.name.endswith("_ida")]
    assert [node.inputs for node in nodes] == [
        ("stage2_ida_down", "stage2_block6_add"), ("stage3_ida_down", "stage3_block8_add"),
        ("stage4_ida_down", "stage4_block1_add"),
    ]  # fmt: skip
    assert table.by_name["conv_last"].inputs == ("stage4_ida",)


def test_tables_are_connected():
    for name in zoo.names():
        table = zoo.get(name)
        assert table.consumers(NETWORK_INPUT)
        assert len(table.outputs) == 1
