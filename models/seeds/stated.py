"""What the texts say that no count decides: accuracies, compression, decompositions, the hardware's description."""

from collections.abc import Iterator

from squeezelerator.models.networks.metaparameter_study import POOLINGS, rows
from squeezelerator.models.paper.published import TABLE_1, TABLE_2, TABLE_3
from squeezelerator.models.seeds.item import Item, Text, Verdict, quoted

__all__ = ["stated_items"]

_IMAGENET = "accuracy on ImageNet: the data are not here, and nothing was trained on them"
_SUBSET = "accuracy on the authors' subset: nothing was trained on it yet"
_RANKS = "no command decomposes layers yet"
_WEIGHTS = "needs trained weights, which do not come with the project (docs/weights.md)"


def _accuracies() -> Iterator[Item]:
    for place, table in (("Table 1", TABLE_1), ("Table 2", TABLE_2), ("Table 3", TABLE_3)):
        for row in table:
            yield quoted(Text.SLIDES, place, f"{row.title}: top-1 and top-5, %", f"{row.top1:.2f} / {row.top5:.2f}", _IMAGENET)
    for row in rows():
        yield quoted(Text.REPORT, "Figure 2", f"{row.label}: top-1 and top-5, %", f"{row.top1:.2f} / {row.top5:.2f}", _SUBSET)
    for label, _, top1, top5 in POOLINGS:
        yield quoted(Text.REPORT, "Figure 4", f"{label} pools: top-1 and top-5, %", f"{top1:.2f} / {top5:.2f}", _SUBSET)


_CLAIMED = (
    (Text.STORY, "3.1", "1.0-SqNxt-23 is more accurate than AlexNet", "2%", _IMAGENET),
    (Text.STORY, "3.1", "1.0-SqNxt-44: top-5 better than AlexNet's", "5%", _IMAGENET),
    (Text.STORY, "3.2", "2.0-SqNxt-44 is as accurate as VGG-19", "equal", _IMAGENET),
    (Text.STORY, "3.2", "2.0-SqNxt-23 is as accurate as MobileNet", "equal", _IMAGENET),
    (Text.GUIDE, "AlexNet", "AlexNet: top-1 and top-5, %", "57.2 / 80.3", _IMAGENET),
    (Text.GUIDE, "SR", "top-5 with SR 0.125, 0.75 and 1, %", "80.3, 86.0, 86.0", _IMAGENET),
    (Text.GUIDE, "3x3 filters", "top-5 does not grow beyond half of 3x3 filters, %", "85.6", _IMAGENET),
    (Text.REPORT, "4.2", "SR 0.25 is more accurate than 0.125, and more adds nothing", "38.65%", _SUBSET),
    (Text.REPORT, "4.2", "a quarter of 3x3 filters: top-5 with fewer parameters", "32.85%", _SUBSET),
    (Text.REPORT, "4.2", "incr_e 64 is more accurate with half the parameters", "32.15%", _SUBSET),
    (Text.REPORT, "4.2", "freq 3 is more accurate with fewer parameters", "32.75%", _SUBSET),
    (Text.REPORT, "4.3", "late pools are better: top-5 of very early, early, usual, very late", "27.55, 31.85, 32.05, 34.15", _SUBSET),
    (Text.REPORT, "Figure 3", "top-5 by epoch for the positions of the pools", "figure", _SUBSET),
    (Text.REPORT, "Figure 1", "accuracy against size for the five metaparameters", "figure", _SUBSET),
    (Text.REPORT, "3", "data: classes, training and validation pictures of each, size", "200, 40, 10, 64x64", _SUBSET),
    (Text.REPORT, "2.1", "pruning of AlexNet: weights, MACs, FC, conv", "9x, 3x, 9.9x, 2.7x", _WEIGHTS),
    (Text.REPORT, "2.2", "5x5 as two 3x3, NxN as Nx1 and 1xN", "words", _RANKS),
    (Text.REPORT, "2.2", "CP decomposition is numerically unstable beyond two dimensions", "words", _RANKS),
    (Text.SLIDES, "low rank", "K x K by CP or Tucker decomposition: K^2 to 2K", "words", _RANKS),
    (Text.GUIDE, "goal", "SqueezeNet compressed, MB, and times less than AlexNet", "0.47, 510x", _WEIGHTS),
    (Text.GUIDE, "Deep Compression", "AlexNet and VGG-16 compressed", "35x to 49x", _WEIGHTS),
    (Text.GUIDE, "Deep Compression", "pruning and sharing together keep the accuracy at a size of, %", "2", _WEIGHTS),
    (Text.GUIDE, "pruning", "weights of a layer that pruning sets to zero, %", "50", _WEIGHTS),
)
#: What the project is, where a text describes the hardware or a method: what shows it, and the command.
_BUILT = (
    (
        Text.SLIDES,
        "simulation",
        "arrays and global buffers",
        "16x16 with 128 KiB, 8x8 with 32 KiB",
        "the defaults of both sizes",
        "python -m rtl.verilog --pe 16",
    ),
    (
        Text.SLIDES,
        "simulation",
        "multipliers of 16-bit integers",
        "16 bits",
        "16 bits, partial sums of 40",
        "python -m rtl.verilog --pe 16",
    ),
    (Text.SLIDES, "simulation", "share of zero weights", "40%", "40%, the default of synthetic weights", "python -m sim sqnxt23v5"),
    (
        Text.SLIDES,
        "simulation",
        "performance is the number of cycles of each layer",
        "estimated",
        "of the RTL, and of a model that equals it",
        "python -m sim sqnxt23v5 --engine rtl,model",
    ),
    (
        Text.SLIDES,
        "dataflow",
        "output stationary and weight stationary, the better one for each layer",
        "both",
        "both",
        "python -m sim sqnxt23v5 --dataflow auto",
    ),
    (
        Text.SLIDES,
        "architecture",
        "global buffer, links between PEs, register files in PEs, DMA",
        "block diagram",
        "the same parts",
        "python -m rtl.verilog --pe 16",
    ),
    (
        Text.GUIDE,
        "Deep Compression",
        "pruning, sharing, Huffman coding, one after the other",
        "three stages",
        "three stages",
        "python -m models.compress",
    ),
)


def stated_items() -> Iterator[Item]:
    """All items that are quoted, and what the project has built of what is described."""
    yield from _accuracies()
    yield from (quoted(*one) for one in _CLAIMED)
    for text, where, says, published, here, command in _BUILT:
        yield Item(text, where, says, published, here, Verdict.BUILT, command)
