"""Lowering: rows of the layer table become operations of the machine.

- An Add becomes the residual of the convolution before it, which the drain adds. Where neither operand is a convolution that only
  the Add reads, a 1x1 convolution with weight 1 and shift 0 copies one operand and takes the other as residual.
- FC is a convolution over its whole input.
- A Mul is an operation of the pool unit, and so is a function of every element; both need a machine with functions.
- A concatenation stays a list of parts; nothing is copied. A pool of a concatenation is one pool a part, and what is added to
  one is one convolution a part.
- The network's input is laid out in phases (space to depth) where that takes a strided first convolution fewer reads.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.graph import Graph, InputLayout, Op, OpKind, Tensor
from squeezelerator.models.arithmetic.quantised_network import LayerQuant, QuantNetwork
from squeezelerator.spec.functions.activations import ACTIVATIONS, ActivationCode
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Lowered

#: An activation of the drain and its parameter.
_Activation = tuple[ActivationCode, int]

_NO_ACTIVATION: _Activation = (ActivationCode.NONE, 0)
#: Limits of the instructions' fields.
_MAX_STRIDE, _MAX_POOL_WINDOW = 4, 31


def _activation(layer: Layer, lq: LayerQuant) -> _Activation:
    rule = ACTIVATIONS[layer.activation]
    return rule.code, getattr(lq, rule.parameter.field) if rule.parameter else 0


def _fused_adds(table: LayerTable) -> dict[str, str]:
    """Add layer -> convolution whose drain computes it (the later of its operands where there is a choice)."""
    order = {layer.name: i for i, layer in enumerate(table.layers)}
    fused: dict[str, str] = {}
    for layer in table.layers:
        # The sum's activation on the drain cannot be leaky.
        if layer.rule.lowered is not Lowered.RESIDUAL or len(set(layer.inputs)) < 2 or not ACTIVATIONS[layer.activation].after_sum:
            continue
        for name in sorted(layer.inputs, key=lambda name: -order.get(name, -1)):
            source = table.by_name.get(name)
            if source and source.has_weights and table.consumers(name) == (layer,):
                fused[layer.name] = name
                break
    return fused


class _Lowering:
    """The graph as far as it is made, layer by layer."""

    def __init__(self, qnet: QuantNetwork, cfg: MachineConfig) -> None:
        self.table, self.quant, self.cfg = qnet.table, qnet.quant, cfg
        self.fused = _fused_adds(self.table)
        self.ops: list[Op] = []
        c, h, w = self.table.input_shape
        self.layout = InputLayout()
        self.input = Tensor(NETWORK_INPUT, c, h, w, NETWORK_INPUT)
        #: Layer -> the tensors that are its result, one after the other along the channels.
        self.values: dict[str, tuple[Tensor, ...]] = {NETWORK_INPUT: (self.input,)}

    def run(self) -> Graph:
        with_sum = set(self.fused.values())
        for layer in self.table.layers:
            if layer.name in with_sum:
                continue
            _METHODS[layer.rule.lowered](self, layer)
        return Graph(self.table.name, self.ops, self.input, self.layout, self.table.outputs)

    def _parts(self, layer: Layer) -> tuple[Tensor, ...]:
        return tuple(tensor for name in layer.inputs for tensor in self.values[name])

    def _outs(self, name: str, channels: Sequence[int], h: int, w: int) -> tuple[Tensor, ...]:
        """Tensors for a result of ``name`` in slices of so many channels."""
        outs, block = [], 0
        for index, count in enumerate(channels):
            outs.append(Tensor(name if len(channels) == 1 else f"{name}.{index}", count, h, w, name, block))
            block += -(-count // self.cfg.n)
        self.values[name] = tuple(outs)
        return self.values[name]

    @staticmethod
    def _stride(layer: Layer, stride: tuple[int, int]) -> tuple[int, int]:
        # With one output line (or column) the stride means nothing; 1 spares windows and the limit.
        stride = (stride[0] if layer.h_o > 1 else 1, stride[1] if layer.w_o > 1 else 1)
        if max(stride) > _MAX_STRIDE:
            raise CompileError(f"layer {layer.name}: the machine's strides go up to {_MAX_STRIDE}, not {max(stride)}")
        return stride

    def _conv(self, layer: Layer, out_name: str, residual: Sequence[Tensor] = (), post: _Activation = _NO_ACTIVATION,
              layers: tuple[str, ...] | None = None) -> None:  # fmt: skip
        lq = self.quant[layer.name]
        act, parm = _activation(layer, lq)
        op = Op(
            name=layer.name, layers=layers or (layer.name,), kind=OpKind.CONV, parts=self._parts(layer), out=self.input,
            kernel=(layer.k_h, layer.k_w), stride=(layer.s_y, layer.s_x), pad=(layer.p_h, layer.p_w), groups=layer.groups,
            weight=lq.weight, bias=lq.bias, shift=lq.shift, act=act, parm=parm, post_act=post[0], post_parm=post[1],
        )  # fmt: skip
        if op.parts == (self.input,) and self.table.consumers(NETWORK_INPUT) == (layer,) and self.input not in residual:
            self._space_to_depth(op, layer)
        op.stride = self._stride(layer, op.stride)
        self._append_conv(op, out_name, layer.out_shape, residual)

    def _append_conv(self, op: Op, name: str, shape: tuple[int, int, int], residual: Sequence[Tensor]) -> None:
        """Append a convolution with result ``name`` (``op`` with any ``out``), as one operation for every tensor of ``residual``."""
        channels, h, w = shape
        outs = self._outs(name, [tensor.c for tensor in residual] or [channels], h, w)
        for index, out in enumerate(outs):
            first = sum(tensor.c for tensor in outs[:index])
            other = residual[index] if residual else None
            self.ops.append(dataclasses.replace(op, name=op.name + out.name[len(name) :], out=out, residual=other, first=first))

    def _space_to_depth(self, op: Op, layer: Layer) -> None:
        """Lay the input out in the phases that take the fewest buffer rows, horizontally at least."""
        if layer.s_x == 1 or layer.groups != 1 or layer.w_o == 1:
            return
        n, c = self.cfg.n, layer.c_i

        def shape(phases_y: int) -> tuple[int, int, int, int, int]:
            """Lines, columns, kernel and remaining vertical stride of the layout."""
            k_h, k_w = -(-layer.k_h // phases_y), -(-layer.k_w // layer.s_x)
            stride_y = layer.s_y // phases_y
            return (layer.h_o - 1) * stride_y + k_h, layer.w_o - 1 + k_w, k_h, k_w, stride_y

        def rows(phases_y: int) -> int:
            h, w, *_ = shape(phases_y)
            return -(-c * phases_y * layer.s_x // n) * h * w

        candidates = [layer.s_y] if layer.s_y > _MAX_STRIDE else [1, layer.s_y]
        phases_y = min(candidates, key=lambda p: (rows(p), p))
        h, w, k_h, k_w, stride_y = shape(phases_y)
        phases = (phases_y, layer.s_x)

        def fold(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            """(..., C, Kh, Kw) to (..., phases * C, kh, kw)."""
            lead = array.shape[:-3]
            padded = np.zeros((*lead, c, k_h * phases[0], k_w * phases[1]), array.dtype)
            padded[..., : layer.k_h, : layer.k_w] = array
            split = padded.reshape(*lead, c, k_h, phases[0], k_w, phases[1])
            d = len(lead)
            order = (*range(d), d + 2, d + 4, d, d + 1, d + 3)
            return np.ascontiguousarray(split.transpose(order)).reshape(*lead, c * phases[0] * phases[1], k_h, k_w)

        op.taps = fold(np.ones((c, layer.k_h, layer.k_w), bool))
        op.weight = fold(op.filters)
        op.kernel, op.stride, op.pad = (k_h, k_w), (stride_y, 1), (0, 0)
        channels = c * phases[0] * phases[1]
        self.input.c, self.input.h, self.input.w = channels, h, w
        self.layout = InputLayout(phases, (layer.p_h, layer.p_w))

    def _add(self, layer: Layer) -> None:
        post = _activation(layer, self.quant[layer.name])
        if layer.name in self.fused:
            conv = self.fused[layer.name]
            other = next(name for name in layer.inputs if name != conv)
            self._conv(self.table.by_name[conv], layer.name, self.values[other], post, (conv, layer.name))
            return
        left, right = (self.values[name] for name in layer.inputs)
        if not ACTIVATIONS[layer.activation].after_sum:
            # One more copy applies it, before a sum that there is not.
            self._copy(layer, layer.name + "/sum", left, right)
            self._copy(layer, layer.name, self.values[layer.name + "/sum"], (), act=post)
        else:
            self._copy(layer, layer.name, left, right, post=post)

    def _copy(self, layer: Layer, name: str, source: Sequence[Tensor], residual: Sequence[Tensor], act: _Activation = _NO_ACTIVATION,
              post: _Activation = _NO_ACTIVATION) -> None:  # fmt: skip
        """A convolution that copies ``source``, applies ``act``, adds ``residual`` and applies ``post``."""
        op = Op(
            name=name, layers=(layer.name,), kind=OpKind.CONV, parts=tuple(source), out=self.input, groups=layer.c_o,
            weight=np.ones((layer.c_o, 1, 1, 1), np.int16), bias=np.zeros(layer.c_o, np.int32),
            act=act[0], parm=act[1], post_act=post[0], post_parm=post[1],
        )  # fmt: skip
        self._append_conv(op, name, (layer.c_o, source[0].h, source[0].w), residual)

    def _weighted(self, layer: Layer) -> None:
        self._conv(layer, layer.name)

    def _max_pool(self, layer: Layer) -> None:
        self._pool(layer, OpKind.MAX_POOL)

    def _average_pool(self, layer: Layer) -> None:
        self._pool(layer, OpKind.AVG_POOL)

    def _pool(self, layer: Layer, kind: OpKind) -> None:
        lq = self.quant[layer.name]
        if max(layer.k_w, layer.k_h) > _MAX_POOL_WINDOW:
            raise CompileError(f"layer {layer.name}: pooling windows go up to {_MAX_POOL_WINDOW}, "
                               f"not {max(layer.k_w, layer.k_h)}")  # fmt: skip
        parts = self._parts(layer)
        stride = self._stride(layer, (layer.s_y, layer.s_x))
        for part, out in zip(parts, self._outs(layer.name, [t.c for t in parts], layer.h_o, layer.w_o), strict=True):
            self.ops.append(Op(
                name=out.name, layers=(layer.name,), kind=kind, parts=(part,), out=out, kernel=(layer.k_h, layer.k_w), stride=stride,
                pad=(layer.p_h, layer.p_w), shift=lq.shift, mult=lq.mult,
            ))  # fmt: skip


    def _needs_functions(self, layer: Layer) -> None:
        if not self.cfg.functions:
            raise CompileError(f"layer {layer.name}: {layer.type} needs a machine with functions (--functions)")

    def _look_up(self, layer: Layer) -> None:
        self._needs_functions(layer)
        lq, parts = self.quant[layer.name], self._parts(layer)
        for part, out in zip(parts, self._outs(layer.name, [t.c for t in parts], layer.h_o, layer.w_o), strict=True):
            self.ops.append(Op(name=out.name, layers=(layer.name,), kind=OpKind.LOOKUP, parts=(part,), out=out, shift=lq.shift,
                               table=lq.table, segment=lq.segment))  # fmt: skip

    def _multiply(self, layer: Layer) -> None:
        self._needs_functions(layer)
        left, right = (self.values[name] for name in layer.inputs)
        if [t.c for t in left] != [t.c for t in right]:
            # Concatenations of different parts become whole maps.
            left, right = self._whole(layer, left, "/a"), self._whole(layer, right, "/b")
        shift = self.quant[layer.name].shift
        for one, other, out in zip(left, right, self._outs(layer.name, [t.c for t in left], layer.h_o, layer.w_o), strict=True):
            self.ops.append(Op(name=out.name, layers=(layer.name,), kind=OpKind.MUL, parts=(one,), out=out, residual=other, shift=shift))

    def _whole(self, layer: Layer, value: tuple[Tensor, ...], suffix: str) -> tuple[Tensor, ...]:
        """A concatenation as a map of its own."""
        if len(value) == 1:
            return value
        self._copy(layer, layer.name + suffix, value, ())
        return self.values[layer.name + suffix]


#: What appends the operations of a layer, by what its type becomes.
_METHODS: Mapping[Lowered, Callable[[_Lowering, Layer], None]] = {
    Lowered.CONVOLUTION: _Lowering._weighted, Lowered.RESIDUAL: _Lowering._add, Lowered.MAX_POOL: _Lowering._max_pool,
    Lowered.AVERAGE_POOL: _Lowering._average_pool, Lowered.PRODUCT: _Lowering._multiply, Lowered.LOOK_UP: _Lowering._look_up,
}  # fmt: skip


def lower(qnet: QuantNetwork, cfg: MachineConfig) -> Graph:
    """The graph of machine operations of a network.

    Raises
    ------
    CompileError
        If a layer has a stride or a pooling window that the machine cannot do, or needs functions that it does not have.
    """
    return _Lowering(qnet, cfg).run()
