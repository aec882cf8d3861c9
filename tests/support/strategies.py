"""Random networks and machines for Hypothesis."""

from hypothesis import strategies as st

from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.functions.activations import Activation
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer_types import LAYER_TYPES, Kernel, LayerType


@st.composite
def networks(draw, functions=False):
    """A small random network: chains, branches, concatenations, sums and pools of odd shapes; products and functions where wanted."""
    size = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    net = TableBuilder("random", (draw(st.integers(1, 9)), *size))
    maps = ["input"]
    for number in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from(maps[-3:]))
        channels, height, width = net.shape(source)
        alike = [name for name in maps if net.shape(name) == net.shape(source)]
        joinable = [name for name in maps if net.shape(name)[1:] == (height, width)]
        kind = draw(st.sampled_from(["conv"] * 4 + ["grouped", "concat", "add", "residual", "max", "avg", "fc", "any"]
                                    + ["scale", "any"] * functions))  # fmt: skip
        name = f"{kind}{number}"
        kernel = draw(st.integers(1, min(5, width))), draw(st.integers(1, min(5, height)))
        pad = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
        stride = draw(st.sampled_from([1, 1, 2, (2, 1), 3]))
        activation = draw(st.sampled_from(list(Activation)))
        filters = draw(st.integers(1, 11))
        if kind == "conv":
            net.conv(name, filters, kernel, source=source, stride=stride, pad=pad, activation=activation)
        elif kind == "grouped":
            groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
            filters = groups * draw(st.integers(1, 3))
            net.conv(name, filters, kernel, source=source, stride=stride, pad=pad, groups=groups, activation=activation)
        elif kind == "concat":
            parts = tuple(draw(st.lists(st.sampled_from(joinable), min_size=2, max_size=3)))
            if draw(st.booleans()):
                net.max_pool(name, min(2, width, height), 1, source=parts)
            else:
                net.conv(name, filters, source=parts, activation=activation)
        elif kind == "add":
            net.add(name, source, draw(st.sampled_from(alike)), activation=activation)
        elif kind == "residual":
            conv = net.conv(name + "c", channels, 1, source=source, activation=draw(st.sampled_from(["none", "relu"])))
            pair = (conv, draw(st.sampled_from(alike)))
            net.add(name, *draw(st.permutations(pair)), activation=draw(st.sampled_from(["none", "relu", "relu6"])))
        elif kind in ("max", "avg"):
            pool = net.max_pool if kind == "max" else net.avg_pool
            pool(name, kernel, stride=stride, source=source, pad=min(pad[0], pad[1], kernel[0] // 2, kernel[1] // 2))
        elif kind == "fc":
            net.fc(name, filters, source=source, activation=activation)
        elif kind == "scale":
            vector = net.fc(name + "v", channels, source=draw(st.sampled_from(maps)), activation=activation)
            net.layer(name, LayerType.MUL, source=(source, vector))
        else:
            # Whatever the table of layer types holds.
            rule = draw(st.sampled_from([rule for rule in LAYER_TYPES.values() if functions or not rule.needs_functions]))
            operands = tuple(draw(st.sampled_from(alike)) for _ in range(rule.operands or 1))
            window = {"stride": stride, "pad": min(pad[0], pad[1], kernel[0] // 2, kernel[1] // 2)} if rule.kernel is Kernel.ANY else {}
            net.layer(name, rule.name, kernel if window else 1, source=operands, c_o=None if rule.keeps_channels else filters,
                      activation=activation if rule.activation else Activation.NONE, **window)  # fmt: skip
        maps.append(net.last)
    return net.table()


MACHINES = st.sampled_from([2, 3, 4, 5, 8]).flatmap(lambda n: st.builds(
    MachineConfig, n=st.just(n), buffer_kib=st.sampled_from([n * n / 8, n * n / 4, n * n / 2, n * n]),
    rf=st.sampled_from([4, 8, 17, 32]), bus_bits=st.sampled_from([64, 128, 256]),
    sectors=st.sampled_from([2, 3, 4, 8, 13]), functions=st.booleans(),
))  # fmt: skip
