"""SqueezeNet's metaparameters, pools and shortcuts, and the published study of them."""

import pytest

from squeezelerator.models.networks import metaparameter_study
from squeezelerator.models.networks.squeezenet import MetaparameterError, Metaparameters, squeezenet


def test_default_filters_are_squeezenets():
    assert [Metaparameters().fire(index) for index in range(8)] == [
        (16, 64, 64), (16, 64, 64), (32, 128, 128), (32, 128, 128), (48, 192, 192), (48, 192, 192), (64, 256, 256),
        (64, 256, 256),
    ]  # fmt: skip


@pytest.mark.parametrize(("meta", "message"), [
    ({"base_e": 0}, "base_e must be a whole number of at least 1, not 0"),
    ({"base_e": 12.5}, "base_e must be a whole number of at least 1, not 12.5"),
    ({"incr_e": -1}, "incr_e must be a whole number of at least 0, not -1"),
    ({"freq": 0}, "freq must be a whole number of at least 1, not 0"),
    ({"pct_3x3": 50}, "pct_3x3 must be between 0 and 1, not 50"),
    ({"pct_3x3": float("nan")}, "pct_3x3 must be between 0 and 1, not nan"),
    ({"sr": 0}, "SR must be above 0 and at most 1, not 0"),
    ({"sr": 0.001}, "fire2 would have no squeeze filters: SR 0.001 of 128 expand filters"),
])  # fmt: skip
def test_impossible_metaparameters(meta, message):
    with pytest.raises(MetaparameterError) as error:
        Metaparameters(**meta)
    assert str(error.value) == message


@pytest.mark.parametrize(("options", "message"), [
    ({"pool_after": (0, 9)}, "pools stand after 0 (conv1) to 8 (the last Fire module), once each, not (0, 9)"),
    ({"pool_after": (3, 3)}, "pools stand after 0 (conv1) to 8 (the last Fire module), once each, not (3, 3)"),
    ({"classes": 0}, "classes must be at least 1, not 0"),
    ({"bypass": "double"}, "bypass must be one of none, simple, complex, not 'double'"),
    ({"size": 20}, "the input must be at least 35 wide for 3 pools, not 20"),
])  # fmt: skip
def test_impossible_networks(options, message):
    with pytest.raises(MetaparameterError) as error:
        squeezenet(**options)
    assert str(error.value) == message


@pytest.mark.parametrize("pools", [(), (0,), (0, 3, 7), (0, 1, 2, 3, 4, 5, 6, 7, 8)])
@pytest.mark.parametrize("bypass", ["none", "simple", "complex"])
def test_pools_move_and_the_smallest_input_works(pools, bypass):
    smallest = 7 + 2 * (2 ** (len(pools) + 1) - 2)
    table = squeezenet(pool_after=pools, size=smallest, bypass=bypass)
    places = {layer.name.split("_")[0] for layer in table.layers if layer.type == "MaxPool"}
    assert places == {f"pool{place + 1}" for place in pools}


def test_modules_of_one_kernel_only():
    kinds = {layer.name.rpartition("_")[2] for layer in squeezenet(meta=Metaparameters(pct_3x3=0)).layers}
    assert "expand1x1" in kinds
    assert "expand3x3" not in kinds
    squeezenet(meta=Metaparameters(pct_3x3=1), bypass="complex")


def test_shortcuts_stand_where_they_should():
    for bypass, fires in (("simple", (3, 5, 7, 9)), ("complex", (2, 3, 4, 5, 6, 7, 8, 9))):
        table = squeezenet(bypass=bypass)
        sums = [layer.name for layer in table.layers if layer.type == "Add"]
        assert sums == [f"fire{fire}_add{kernel}" for fire in fires for kernel in ("1x1", "3x3")]
        convolutions = [layer.name for layer in table.layers if "bypass" in layer.name]
        expected = [f"fire{fire}_bypass{kernel}" for fire in (2, 4, 6, 8) for kernel in ("1x1", "3x3")]
        assert convolutions == (expected if bypass == "complex" else [])
    assert table.by_name["fire3_add1x1"].inputs == ("fire3_expand1x1", "fire2_add1x1")


def test_every_published_count_is_exact_or_explained():
    rows = metaparameter_study.rows()
    assert len(rows) == 22
    for row in rows:
        assert bool(row.difference) == bool(row.why)
        assert row.why != "unexplained"
    assert sum(bool(row.difference) for row in rows) == 10
    assert rows[1].counted == 838_024
    assert {row.counted for row, _ in metaparameter_study.pooling_rows()} == {838_024}
