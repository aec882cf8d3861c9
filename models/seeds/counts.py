"""What counting reproduces: parameters, multiplications, shapes, defaults."""

from collections.abc import Iterator

from squeezelerator.models.networks import metaparameter_study, zoo
from squeezelerator.models.networks.squeezenet import FIRES, Metaparameters, squeezenet
from squeezelerator.models.paper.published import TABLE_1, TABLE_2, TABLE_3
from squeezelerator.models.seeds.item import Item, Text, Verdict, checked, differing, number
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import LayerType

__all__ = ["count_items"]

_LIST, _PAPER, _STUDY = "python -m models", "python -m models.paper", "python -m models --metaparameters"
_COUNTED = "python -m models.seeds"
_MIB = 1 << 20
_INFERRED = "the depths of the 34-module networks are stated nowhere; 9-9-12-2 is what fits best (docs/networks.md)"
_VGG = "138M is VGG-16's count; VGG-19 has 143.7M"


def _trained(name: str) -> int:
    return zoo.network(name).trainable_params


def _digits(value: float) -> float:
    """One unit of the last digit of a published number."""
    return 10.0 ** -len(f"{value:g}".partition(".")[2])


def _why(name: str) -> str:
    return _VGG if name == "vgg19" else _INFERRED if "34" in name else "counted with another convention"


def _tables() -> Iterator[Item]:
    """Parameters, compression and MACs of the slides' tables."""
    alexnet = _trained("alexnet")
    for place, rows in (("Table 1", TABLE_1), ("Table 2", TABLE_2)):
        for row in rows:
            unit = _digits(row.params)
            yield number(
                (Text.SLIDES, place),
                f"{row.title}: millions of parameters",
                row.params,
                round(_trained(row.network) / 1e6, 3),
                _PAPER,
                unit=unit,
                why=_why(row.network),
            )
            if row.compression:
                yield number(
                    (Text.SLIDES, place),
                    f"{row.title}: times fewer parameters than AlexNet",
                    row.compression,
                    round(alexnet / _trained(row.network), 1),
                    _PAPER,
                    unit=1.0,
                    why="the publication divides rounded counts" if "34" not in row.network else _INFERRED,
                )
    for line in TABLE_3:
        yield number(
            (Text.SLIDES, "Table 3"),
            f"{line.title}: millions of parameters",
            line.params,
            round(_trained(line.network) / 1e6, 3),
            _PAPER,
            unit=_digits(line.params),
            why=_why(line.network),
        )
        yield number(
            (Text.SLIDES, "Table 3"),
            f"{line.title}: millions of MACs, with biases",
            line.macs / 1e6,
            round(zoo.get(line.network).macs_with_bias / 1e6, 1),
            _LIST,
            unit=1.0,
            why="counted with another convention",
        )


def _story() -> Iterator[Item]:
    text, alexnet = Text.STORY, _trained("alexnet")
    sqnxt, v5 = zoo.get("sqnxt23"), zoo.get("sqnxt23v5")
    yield number(
        (text, "summary"),
        "with groups: times fewer parameters than AlexNet",
        112,
        round(alexnet / _trained("gsqnxt23"), 1),
        _PAPER,
        unit=1.0,
    )
    yield number(
        (text, "3.1"),
        "1.0-SqNxt-23: times fewer parameters than AlexNet",
        87,
        round(alexnet / _trained("sqnxt23"), 1),
        _PAPER,
        unit=1.0,
        why="the slides print 84, from 60.9 / 0.72; 87 follows from weights alone (60.95 / 0.706 = 86.4)",
    )
    yield number((text, "summary"), "2.0-SqNxt-44: millions of parameters", 4.4, round(_trained("sqnxt44_w2") / 1e6, 3), _PAPER, unit=0.1)
    yield number(
        (text, "summary"),
        "2.0-SqNxt-44: times fewer parameters than VGG-19",
        31,
        round(_trained("vgg19") / _trained("sqnxt44_w2"), 1),
        _PAPER,
        unit=1.0,
        why=_VGG,
    )
    yield number(
        (text, "summary"),
        "2.0-SqNxt-23v5: times fewer parameters than MobileNet",
        1.3,
        round(_trained("mobilenet") / _trained("sqnxt23v5_w2"), 2),
        _PAPER,
        unit=0.1,
    )
    yield number(
        (text, "3.2"),
        "MobileNet has twice the parameters of 2.0-SqNxt-23",
        2,
        round(_trained("mobilenet") / _trained("sqnxt23_w2"), 2),
        _PAPER,
        unit=0.5,
    )
    pair = [layer for layer in sqnxt.layers if layer.name.startswith("stage1_block2_sep")]
    yield number(
        (text, "1.1"),
        "KxK into 1xK and Kx1: weights of a pair of kernels for K = 3",
        6,
        sum(layer.k_w * layer.k_h for layer in pair),
        f"{_LIST} 1.0-SqNxt-23",
        unit=0.0,
    )
    yield checked(text, "1.2", "channels of a block of 128", "64, 32, 64, 64, 128", _channels(), f"{_LIST} 1.0-SqNxt-23")
    yield number(
        (text, "2"),
        "AlexNet: share of FC layers in the parameters, %",
        96,
        _share("alexnet", lambda layer: layer.type == LayerType.FC),
        _COUNTED,
        unit=1.0,
    )
    share = _share("sqnxt23", lambda layer: layer.type == LayerType.CONV and layer.k_w == layer.k_h == 1)
    yield number(
        (text, "3.1"),
        "1.0-SqNxt-23: share of 1x1 convolutions in the parameters is more than half, %",
        100,
        share,
        _COUNTED,
        unit=50.0,
        why=f"they have {share:g}% of the weights, the largest share of a kind but less than half",
    )
    for table, depths in (
        (sqnxt, "6, 6, 8, 1"),
        (v5, "2, 4, 14, 1"),
        (zoo.get("sqnxt23v3"), "4, 8, 8, 1"),
        (zoo.get("sqnxt23v4"), "2, 10, 8, 1"),
    ):
        found = [
            len({layer.name.split("_")[1] for layer in table.layers if layer.name.startswith(f"stage{stage}_")}) for stage in range(1, 5)
        ]
        yield checked(
            text,
            "2 and 3.3",
            f"{zoo.network(table.name).title}: blocks of the stages",
            depths,
            ", ".join(map(str, found)),
            f"{_LIST} {table.name}",
        )
    kernels = f"{sqnxt.by_name['conv1'].k_w} to {v5.by_name['conv1'].k_w}"
    yield checked(text, "3.3", "kernel of conv1 from the baseline to v2 ... v5", "7 to 5", kernels, f"{_LIST} 1.0-SqNxt-23v2")
    fc = [layer for layer in sqnxt.layers if layer.type == LayerType.FC]
    yield checked(text, "2", "FC layers, and input channels of the last", "1, 128", f"{len(fc)}, {fc[0].c_i}", f"{_LIST} 1.0-SqNxt-23")


def _channels() -> str:
    """Output channels of the convolutions of 1.0-SqNxt-23's blocks of 128 channels."""
    return ", ".join(str(layer.c_o) for layer in zoo.get("sqnxt23").layers if layer.name.startswith("stage3_block2_") and layer.has_weights)


def _share(name: str, chosen: object) -> float:
    """Share of the weights in the layers that ``chosen`` says, in %."""
    assert callable(chosen)
    table = zoo.get(name)
    return round(100 * sum(layer.params for layer in table.layers if layer.has_weights and chosen(layer)) / table.params, 1)


def _before_pools(table: LayerTable) -> list[str]:
    """The modules behind which a max pool stands."""
    modules = [layer.name.split("_")[0] for layer in table.layers]
    return [before for before, layer in zip(modules, table.layers[1:], strict=False) if layer.type == LayerType.MAX_POOL]


def _guide() -> Iterator[Item]:
    text, squeeze, alexnet = Text.GUIDE, zoo.get("squeezenet1_0"), zoo.get("alexnet")
    count, network = _trained("squeezenet1_0"), zoo.network("squeezenet1_0")
    yield number((text, "title"), "times fewer parameters than AlexNet", 50, round(_trained("alexnet") / count, 1), _PAPER, unit=2.0)
    yield number((text, "goal"), "SqueezeNet in 32 bits, MiB", 4.8, round(4 * count / _MIB, 2), _COUNTED, unit=0.1)
    yield number((text, "AlexNet"), "AlexNet in 32 bits, MB", 240, round(4 * _trained("alexnet") / 1e6, 1), _COUNTED, unit=10.0)
    yield number((text, "AlexNet"), "millions of parameters", 61, round(_trained("alexnet") / 1e6, 2), _PAPER, unit=1.0)
    yield number(
        (text, "AlexNet"),
        "layers with learnable parameters",
        8,
        sum(layer.has_weights for layer in alexnet.layers),
        f"{_LIST} alexnet",
        unit=0.0,
    )
    yield number((text, "AlexNet"), "layers with pools", 11, len(alexnet.layers), f"{_LIST} alexnet", unit=0.0)
    convs = ", ".join(
        layer.name for layer, after in zip(alexnet.layers, alexnet.layers[1:], strict=False) if layer.type == after.type == LayerType.CONV
    )
    yield checked(text, "AlexNet", "convolutions directly before convolutions", "conv3, conv4", convs, f"{_LIST} alexnet")
    yield number(
        (text, "AlexNet"),
        "FC layers have most parameters, %",
        100,
        _share("alexnet", lambda layer: layer.type == LayerType.FC),
        _COUNTED,
        unit=50.0,
    )
    yield number(
        (text, "architecture"),
        "Fire modules",
        8,
        len({layer.name.split("_")[0] for layer in squeeze.layers if "fire" in layer.name}),
        f"{_LIST} squeezenet1_0",
        unit=0.0,
    )
    yield number((text, "metaparameters"), "dimensions of all Fire modules", 24, 3 * FIRES, _STUDY, unit=0.0)
    pools = ", ".join(_before_pools(squeeze))
    yield differing(
        text,
        "architecture",
        "max pools of stride 2 behind",
        "conv1, fire4, fire8, conv10",
        pools,
        f"{_LIST} squeezenet1_0",
        "behind conv10 stands the global average pool, as the same text says later and the publication's table has it",
    )
    dropout = ", ".join(sorted({f"{name.split('_')[0]} {ratio:g}" for name, ratio in network.dropout.items()}))
    yield checked(text, "architecture", "dropout", "fire9 0.5", dropout, "python -m models.train")
    meta = Metaparameters()
    found = f"{meta.base_e}, {meta.incr_e}, {meta.pct_3x3:g}, {meta.freq}, {meta.sr:g}"
    yield checked(text, "metaparameters", "base_e, incr_e, pct_3x3, freq, SR", "128, 128, 0.5, 2, 0.125", found, _STUDY)
    for sr, size in ((0.125, 4.8), (0.75, 19.0)):
        table = squeezenet(meta=Metaparameters(sr=sr))
        here = round(4 * sum(layer.params + layer.c_o for layer in table.layers if layer.has_weights) / _MIB, 2)
        yield number(
            (text, "metaparameters"),
            f"size with SR {sr:g}, MiB in 32 bits",
            size,
            here,
            _COUNTED,
            unit=1.0,
            why="counted with all biases; the text rounds",
        )
    yield number(
        (text, "Deep Compression"),
        "times smaller in 32 bits than AlexNet compressed 35 times",
        1.4,
        round(_trained("alexnet") / 35 / count, 2),
        _COUNTED,
        unit=0.1,
    )


def _page() -> Iterator[Item]:
    text, squeeze = Text.PAGE, zoo.get("squeezenet1_0")
    ratio = squeeze.by_name["fire2_expand3x3"].params / squeeze.by_name["fire2_expand1x1"].params
    yield number((text, "strategy 1"), "times fewer weights of a 1x1 filter than of a 3x3", 9, ratio, f"{_LIST} squeezenet1_0", unit=0.0)
    expand3 = [layer for layer in squeeze.layers if layer.name.endswith("expand3x3")]
    pads = sorted({(layer.p_w, layer.p_h) for layer in expand3})
    yield checked(text, "details", "padding of the 3x3 expand filters", "[(1, 1)]", str(pads), f"{_LIST} squeezenet1_0")
    fires = [layer for layer in squeeze.layers if layer.name.startswith("fire")]
    yield checked(
        text,
        "details",
        "activation of squeeze and expand layers",
        "relu",
        ", ".join(sorted({layer.activation for layer in fires})),
        f"{_LIST} squeezenet1_0",
    )
    yield number(
        (text, "details"), "FC layers", 0, sum(layer.type == LayerType.FC for layer in squeeze.layers), f"{_LIST} squeezenet1_0", unit=0.0
    )
    yield from _growth()
    first = squeeze.layers[0].name
    last = [layer.name for layer in squeeze.layers if layer.has_weights][-1]
    yield checked(text, "architecture", "first and last convolution", "conv1, conv10", f"{first}, {last}", f"{_LIST} squeezenet1_0")


def _growth() -> Iterator[Item]:
    """What the page says of the Fire modules one after the other."""
    text, meta = Text.PAGE, Metaparameters()
    less = sum(meta.fire(index)[0] < sum(meta.fire(index)[1:]) for index in range(FIRES))
    yield number((text, "Fire module"), "modules with fewer squeeze than expand filters", 8, less, _STUDY, unit=0.0)
    growing = [sum(meta.fire(index)[1:]) for index in range(FIRES)]
    yield checked(text, "architecture", "filters a Fire module grow", "True", str(growing == sorted(growing)), _STUDY)


def _report() -> Iterator[Item]:
    text, rows = Text.REPORT, metaparameter_study.rows()
    for row in rows:
        verdict = Verdict.DIFFERS if row.difference else Verdict.REPRODUCED
        yield Item(text, "Figure 2", f"{row.label}: parameters", f"{row.published:,}", f"{row.counted:,}", verdict, _STUDY, row.why)
    counted = {row.label: row.counted for row in rows}
    base = counted["SqueezeNet"]
    ratios = (
        ("4.2", "times fewer parameters than AlexNet", 72.9, counted["AlexNet (one tower)"] / base, 0.1),
        ("4.2", "SR 0.25: times the parameters", 1.85, counted["SR = 0.25"] / base, 0.011),
        ("4.2", "25% of 3x3 filters: times fewer parameters", 1.415, base / counted["pct_3x3 = 25.0%"], 0.001),
        ("abstract", "the same, rounded", 1.4, base / counted["pct_3x3 = 25.0%"], 0.1),
        ("4.2", "incr_e 64: share of the parameters", 0.5, counted["incr_e = 64"] / base, 0.05),
        ("4.2", "incr_e 256 against base_e 256: times the parameters", 1.5, counted["incr_e = 256"] / counted["base_e = 256"], 0.1),
        ("4.2", "freq 3: times fewer parameters", 1.63, base / counted["freq = 3"], 0.011),
    )
    for where, says, published, here, unit in ratios:
        yield number(
            (text, where),
            says,
            published,
            round(here, 3),
            _STUDY,
            unit=unit,
            why="conv10 counted with the channels that it has (see Figure 2's row)",
        )
    for row, pools in metaparameter_study.pooling_rows():
        same = row.counted == base
        yield checked(text, "Figure 4", f"{row.label}: pools change no parameters", "True", str(same), _STUDY)
        macs = squeezenet(classes=metaparameter_study.CLASSES, size=metaparameter_study.SIZE, pool_after=pools).macs / 1e6
        if row.label == "very late":
            normal = squeezenet(classes=metaparameter_study.CLASSES, size=metaparameter_study.SIZE).macs / 1e6
            yield checked(text, "4.3", "very late pools: more work", "True", str(macs > normal), _COUNTED)


def count_items() -> Iterator[Item]:
    """All items that counting decides."""
    yield from _story()
    yield from _guide()
    yield from _tables()
    yield from _page()
    yield from _report()
