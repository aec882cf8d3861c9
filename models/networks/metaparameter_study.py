"""The published study of SqueezeNet's metaparameters beside what counting the networks gives.

Published figures: ``(varied, base_e, incr_e, pct_3x3 in %, freq, SR, top-1 %, top-5 %, parameters)`` on 200 classes at
224x224. Parameters there are weights and biases.
"""

from dataclasses import dataclass

from squeezelerator.models.networks.peers import alexnet_one_tower
from squeezelerator.models.networks.squeezenet import FIRES, Metaparameters, squeezenet
from squeezelerator.spec.network.layer_table import LayerTable

CLASSES, SIZE = 200, 224

PUBLISHED = (
    ("base_e", 64, 128, 50.0, 2, 0.125, 9.05, 26.75, 620104),
    ("base_e", 192, 128, 50.0, 2, 0.125, 12.85, 32.70, 1104072),
    ("base_e", 256, 128, 50.0, 2, 0.125, 14.35, 35.10, 1418248),
    ("incr_e", 128, 64, 50.0, 2, 0.125, 13.25, 32.15, 443944),
    ("incr_e", 128, 192, 50.0, 2, 0.125, 13.05, 32.85, 1397992),
    ("incr_e", 128, 256, 50.0, 2, 0.125, 14.70, 35.10, 2123848),
    ("pct_3x3", 128, 128, 1.0, 2, 0.125, 9.20, 24.10, 354184),
    ("pct_3x3", 128, 128, 12.5, 2, 0.125, 11.90, 31.85, 469384),
    ("pct_3x3", 128, 128, 25.0, 2, 0.125, 12.45, 32.85, 592264),
    ("pct_3x3", 128, 128, 37.5, 2, 0.125, 12.50, 31.35, 715144),
    ("pct_3x3", 128, 128, 62.5, 2, 0.125, 12.90, 34.00, 960904),
    ("pct_3x3", 128, 128, 75.0, 2, 0.125, 14.30, 35.35, 1083784),
    ("pct_3x3", 128, 128, 87.5, 2, 0.125, 13.80, 34.65, 1206664),
    ("freq", 128, 128, 50.0, 1, 0.125, 13.00, 31.60, 2556552),
    ("freq", 128, 128, 50.0, 3, 0.125, 13.10, 32.75, 513720),
    ("freq", 128, 128, 50.0, 4, 0.125, 11.10, 30.65, 359688),
    ("SR", 128, 128, 50.0, 2, 0.250, 16.15, 38.65, 1556680),
    ("SR", 128, 128, 50.0, 2, 0.500, 15.60, 38.20, 2993992),
    ("SR", 128, 128, 50.0, 2, 0.750, 17.30, 38.40, 4431304),
    ("SR", 128, 128, 50.0, 2, 1.000, 16.75, 38.40, 5868616),
)
REFERENCES = (("AlexNet", 15.40, 35.65, 61100840), ("SqueezeNet", 12.75, 32.05, 838024))
POOLINGS = (
    ("SqueezeNet", (0, 3, 7), 12.75, 32.05),
    ("very early", (0, 1, 2), 10.00, 27.55),
    ("early", (0, 1, 3), 12.00, 31.85),
    ("very late", (0, 6, 7), 13.45, 34.15),
)

CONV10_INPUT = 512
"""Input channels of conv10 in the study's counts, whatever the last Fire module has."""


@dataclass(frozen=True)
class Row:
    """One configuration: its label, published and counted parameters, accuracies in % and why the counts differ."""

    label: str
    published: int
    counted: int
    top1: float
    top5: float
    why: str = ""

    @property
    def difference(self) -> int:
        """Counted minus published parameters."""
        return self.counted - self.published


def _count(table: LayerTable) -> int:
    return sum(layer.params + layer.c_o for layer in table.layers if layer.has_weights)


def _explain(meta: Metaparameters, difference: int) -> str:
    """Why the counts differ, or an empty string; raises nothing, an unknown reason says so."""
    if not difference:
        return ""
    last = sum(meta.fire(FIRES - 1)[1:])
    if difference == (last - CONV10_INPUT) * CLASSES:
        return f"conv10 has {last} input channels, the publication counts {CONV10_INPUT}"
    # The publication grows the 3x3 filters by a rounded step a group of modules instead of rounding each module's
    # share.
    steps = [int(meta.base_e * meta.pct_3x3) + int(meta.incr_e * meta.pct_3x3) * (i // meta.freq) for i in range(FIRES)]
    fires = [meta.fire(index) for index in range(FIRES)]
    if difference == sum(
        8 * squeeze * (expand3 - step) for (squeeze, _, expand3), step in zip(fires, steps, strict=True)
    ):
        return "3x3 filters rounded for base_e and incr_e apart in the publication, for each module here"
    return "unexplained"


def rows() -> tuple[Row, ...]:
    """The 22 published configurations: the two references first, then one metaparameter varied at a time."""
    (alexnet, top1, top5, params), (squeeze, squeeze_top1, squeeze_top5, squeeze_params) = REFERENCES
    found = [
        Row(f"{alexnet} (one tower)", params, _count(alexnet_one_tower()), top1, top5),
        Row(squeeze, squeeze_params, _count(squeezenet(classes=CLASSES, size=SIZE)), squeeze_top1, squeeze_top5),
    ]
    for varied, base_e, incr_e, percent, freq, sr, top1, top5, published in PUBLISHED:
        meta = Metaparameters(base_e=base_e, incr_e=incr_e, pct_3x3=percent / 100, freq=freq, sr=sr)
        counted = _count(squeezenet(meta=meta, classes=CLASSES, size=SIZE))
        value = {"base_e": base_e, "incr_e": incr_e, "pct_3x3": f"{percent}%", "freq": freq, "SR": sr}[varied]
        found.append(Row(f"{varied} = {value}", published, counted, top1, top5, _explain(meta, counted - published)))
    return tuple(found)


def pooling_rows() -> tuple[tuple[Row, tuple[int, int, int]], ...]:
    """The four positions of the pools as ``(Row, pool_after)``: parameters do not depend on them."""
    published = REFERENCES[1][3]
    return tuple(
        (Row(label, published, _count(squeezenet(classes=CLASSES, size=SIZE, pool_after=pools)), top1, top5), pools)
        for label, pools, top1, top5 in POOLINGS
    )
