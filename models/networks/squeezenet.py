"""SqueezeNet: Fire modules sized by five metaparameters, movable pools, and shortcuts around the modules.

Fire module ``i`` (0 to 7, named fire2 to fire9) has ``e = base_e + incr_e * (i // freq)`` expand filters, of which
``pct_3x3 * e`` are 3x3 (rounded down, as are the squeeze filters), and ``SR * e`` squeeze filters. Its output is the
pair (expand1x1, expand3x3), concatenated by whoever reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from squeezelerator.common.errors import UserError
from squeezelerator.models.networks.network import Network
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer import Activation
from squeezelerator.spec.network.layer_table import LayerTable

FIRES = 8
BYPASSES = ("none", "simple", "complex")


class MetaparameterError(UserError, ValueError):
    """Metaparameters that make no network; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Metaparameters:
    """The five metaparameters; the defaults are SqueezeNet's own.

    ``base_e`` and ``incr_e`` are filters, ``pct_3x3`` and ``sr`` fractions of a module's expand filters, ``freq`` is
    in modules.
    """

    base_e: int = 128
    incr_e: int = 128
    pct_3x3: float = 0.5
    freq: int = 2
    sr: float = 0.125

    def __post_init__(self) -> None:
        for name, least in (("base_e", 1), ("incr_e", 0), ("freq", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise MetaparameterError(f"{name} must be a whole number of at least {least}, not {value!r}")
        if not 0 <= self.pct_3x3 <= 1:
            raise MetaparameterError(f"pct_3x3 must be between 0 and 1, not {self.pct_3x3!r}")
        if not 0 < self.sr <= 1:
            raise MetaparameterError(f"SR must be above 0 and at most 1, not {self.sr!r}")
        for index in range(FIRES):
            squeeze, expand1, expand3 = self.fire(index)
            if squeeze < 1:
                raise MetaparameterError(
                    f"fire{index + 2} would have no squeeze filters: SR {self.sr} of {expand1 + expand3} expand filters"
                )

    def fire(self, index: int) -> tuple[int, int, int]:
        """Filters (squeeze1x1, expand1x1, expand3x3) of Fire module ``index``, 0 to 7."""
        expand = self.base_e + self.incr_e * (index // self.freq)
        expand3 = int(expand * self.pct_3x3 + _SLACK)
        return int(expand * self.sr + _SLACK), expand - expand3, expand3


_SLACK = 1e-9
"""Keeps a product such as 0.29 * 100 from falling below the whole number that it means."""


def _bypass(net: TableBuilder, prefix: str, source: tuple[str, ...], outputs: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Sum of a Fire module's outputs and its input, part by part; the outputs unchanged where there is no shortcut."""
    channels = [net.shape(name)[0] for name in outputs]
    if kind == "none":
        return outputs
    if [net.shape(name)[0] for name in source] != channels:
        # The parts differ in size: a shortcut needs a convolution, which only the complex variant has.
        if kind == "simple":
            return outputs
        parts = [output.removeprefix(f"{prefix}_expand") for output in outputs]
        source = tuple(
            net.conv(f"{prefix}_bypass{part}", count, source=source, activation=Activation.NONE)
            for part, count in zip(parts, channels, strict=True)
        )
    return tuple(
        net.add(output.replace("_expand", "_add"), output, shortcut, activation=Activation.NONE)
        for output, shortcut in zip(outputs, source, strict=True)
    )


def _fire(net: TableBuilder, prefix: str, source: tuple[str, ...], filters: tuple[int, int, int], bypass: str) -> tuple[str, ...]:
    squeeze, expand1, expand3 = filters
    squeezed = net.conv(f"{prefix}_squeeze", squeeze, source=source)
    outputs = ()
    if expand1:
        outputs += (net.conv(f"{prefix}_expand1x1", expand1, source=squeezed),)
    if expand3:
        outputs += (net.conv(f"{prefix}_expand3x3", expand3, 3, source=squeezed, pad=1),)
    return _bypass(net, prefix, source, outputs, bypass)


def _pool(net: TableBuilder, name: str, source: tuple[str, ...], split: bool) -> tuple[str, ...]:
    """A max pool over all of ``source``, or one over each part where shortcuts need the parts."""
    if not split or len(source) == 1:
        return (net.max_pool(name, 3, 2, source=source, ceil=True),)
    return tuple(net.max_pool(f"{name}_{part.rsplit('_', 1)[1]}", 3, 2, source=part, ceil=True) for part in source)


def squeezenet(
    name: str = "squeezenet",
    meta: Metaparameters | None = None,
    *,
    classes: int = 1000,
    pool_after: Sequence[int] = (0, 3, 7),
    size: int = 227,
    conv1: tuple[int, int] = (96, 7),
    bypass: str = "none",
) -> LayerTable:
    """Layer table of a SqueezeNet.

    Parameters
    ----------
    meta : Metaparameters
        SqueezeNet's own by default.
    classes : int
        Filters of the last convolution, conv10.
    pool_after : sequence of int
        Where the max pools stand: 0 is after conv1, ``k`` after the k-th Fire module (1 to 8).
    size : int
        Height and width of the input.
    conv1 : (int, int)
        Filters and kernel of conv1: (96, 7) in v1.0, (64, 3) in v1.1.
    bypass : str
        ``none``; ``simple``: the input of a Fire module is added to its output where the channels agree; ``complex``:
        as simple, and through a 1x1 convolution where they do not.

    Raises
    ------
    MetaparameterError
        If a number is impossible or the map becomes too small.
    """
    meta = meta or Metaparameters()
    pools = sorted(pool_after)
    if len(set(pools)) != len(pools) or not set(pools) <= set(range(FIRES + 1)):
        raise MetaparameterError(
            f"pools stand after 0 (conv1) to {FIRES} (the last Fire module), once each, not {pool_after}"
        )
    if classes < 1:
        raise MetaparameterError(f"classes must be at least 1, not {classes}")
    if bypass not in BYPASSES:
        raise MetaparameterError(f"bypass must be one of {', '.join(BYPASSES)}, not {bypass!r}")
    smallest = conv1[1] + 2 * (2 ** (len(pools) + 1) - 2)
    if size < smallest:
        raise MetaparameterError(f"the input must be at least {smallest} wide for {len(pools)} pools, not {size}")
    net = TableBuilder(name, (3, size, size))
    source = (net.conv("conv1", conv1[0], conv1[1], stride=2),)
    for index in range(FIRES + 1):
        if index:
            source = _fire(net, f"fire{index + 1}", source, meta.fire(index - 1), bypass)
        if index in pools:
            source = _pool(net, f"pool{index + 1}", source, bypass != "none")
    net.conv("conv10", classes, source=source)
    net.avg_pool("avgpool")
    return net.table()


def _v1_0(name: str = "squeezenet1_0", **changes: Any) -> LayerTable:
    return squeezenet(name, **changes)


def _v1_1(name: str = "squeezenet1_1") -> LayerTable:
    return squeezenet(name, pool_after=(0, 2, 4), size=224, conv1=(64, 3))


_DROPOUT = {"fire9_expand1x1": 0.5, "fire9_expand3x3": 0.5}
_BYPASS_DROPOUT = {"fire9_add1x1": 0.5, "fire9_add3x3": 0.5}

NETWORKS = (
    Network(name="squeezenet1_0", title="SqueezeNet v1.0", build=_v1_0, aliases=("SqueezeNet",), dropout=_DROPOUT,
            params_published=1.2, macs_published=837e6),
    Network(name="squeezenet1_0_simple_bypass", build=lambda: _v1_0("squeezenet1_0_simple_bypass", bypass="simple"),
            aliases=("SqueezeNet + Simple Bypass",), dropout=_BYPASS_DROPOUT),
    Network(name="squeezenet1_0_complex_bypass", build=lambda: _v1_0("squeezenet1_0_complex_bypass", bypass="complex"),
            aliases=("SqueezeNet + Complex Bypass",), dropout=_BYPASS_DROPOUT,
            inferred="the shortcuts' convolutions have no ReLU"),
    Network(name="squeezenet1_1", title="SqueezeNet v1.1", build=_v1_1, dropout=_DROPOUT, params_published=1.2,
            macs_published=352e6),
)  # fmt: skip
"""Entries of the zoo."""
