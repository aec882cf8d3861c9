"""Pass 1, lowering: rows of the layer table become operations of the machine.

- An Add rides as residual on the drain of the convolution before it. Where neither operand is a convolution that only the
  Add reads, a 1x1 convolution with weight 1 and shift 0 copies one operand and the Add rides on that.
- FC is a convolution over its whole input.
- A concatenation stays a list of parts; nothing is copied. A pool of a concatenation is one pool a part, and what is added to
  one is one convolution a part.
- The network's input is laid out in phases where that takes a strided first convolution fewer reads.
"""

import dataclasses

import numpy as np

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.graph import AVG_POOL, CONV, MAX_POOL, Graph, InputLayout, Op, Tensor
from squeezelerator.spec.isa import ACT_CLIP, ACT_LEAKY, ACT_NONE, ACT_RELU
from squeezelerator.spec.network.layer import NETWORK_INPUT

_ACTS = {"none": ACT_NONE, "relu": ACT_RELU, "relu6": ACT_CLIP, "leaky": ACT_LEAKY}
_MAX_STRIDE = 4
_MAX_POOL_WINDOW = 31


def _activation(layer, lq):
    """(act, parm) of a layer."""
    act = _ACTS[layer.activation]
    return act, {ACT_CLIP: lq.clip, ACT_LEAKY: lq.slope}.get(act, 0)


def _fused_adds(table):
    """Add layer -> convolution whose drain it rides on (the later of its operands where there is a choice)."""
    order = {layer.name: i for i, layer in enumerate(table.layers)}
    fused = {}
    for layer in table.layers:
        left, right = layer.inputs if layer.type == "Add" else (None, None)
        if left == right or layer.activation == "leaky":  # the sum's activation on the drain cannot be leaky
            continue
        for name, other in sorted(((left, right), (right, left)), key=lambda pair: -order.get(pair[0], -1)):
            source = table.by_name.get(name)
            if source and source.has_weights and table.consumers(name) == (layer,):
                fused[layer.name] = name
                break
    return fused


class _Lowering:
    def __init__(self, qnet, cfg):
        self.table, self.quant, self.cfg = qnet.table, qnet.quant, cfg
        self.fused = _fused_adds(self.table)
        self.ops, self.values = [], {}
        c, h, w = self.table.input_shape
        self.layout = InputLayout()
        self.input = Tensor(NETWORK_INPUT, c, h, w, NETWORK_INPUT)
        #: Layer -> the tensors that are its result, one after the other along the channels.
        self.values[NETWORK_INPUT] = (self.input,)

    def run(self):
        riders = set(self.fused.values())
        for layer in self.table.layers:
            if layer.name in riders:
                continue
            if layer.type == "Add":
                self._add(layer)
            elif layer.has_weights:
                self._conv(layer, layer.name)
            else:
                self._pool(layer)
        return Graph(self.table.name, self.ops, self.input, self.layout, self.table.outputs)

    def _parts(self, layer):
        return tuple(tensor for name in layer.inputs for tensor in self.values[name])

    def _outs(self, name, like, h, w):
        """Tensors for a result of ``name`` that is cut along the channels as ``like`` (channel counts) says."""
        outs, block = [], 0
        for index, channels in enumerate(like):
            outs.append(Tensor(name if len(like) == 1 else f"{name}.{index}", channels, h, w, name, block))
            block += -(-channels // self.cfg.n)
        self.values[name] = tuple(outs)
        return self.values[name]

    def _stride(self, name, stride, layer):
        # With one output line (or column) the stride means nothing; 1 spares windows and the limit.
        stride = (stride[0] if layer.h_o > 1 else 1, stride[1] if layer.w_o > 1 else 1)
        if max(stride) > _MAX_STRIDE:
            raise CompileError(f"layer {name}: the machine's strides go up to {_MAX_STRIDE}, not {max(stride)}")
        return stride

    def _conv(self, layer, out_name, residual=(), post=(ACT_NONE, 0), layers=None):
        lq = self.quant[layer.name]
        act, parm = _activation(layer, lq)
        op = Op(
            name=layer.name, layers=layers or (layer.name,), kind=CONV, parts=self._parts(layer), out=None,
            kernel=(layer.k_h, layer.k_w), stride=(layer.s_y, layer.s_x), pad=(layer.p_h, layer.p_w), groups=layer.groups,
            weight=lq.weight, bias=lq.bias, shift=lq.shift, act=act, parm=parm, post_act=post[0], post_parm=post[1],
        )  # fmt: skip
        if op.parts == (self.input,) and self.table.consumers(NETWORK_INPUT) == (layer,) and self.input not in residual:
            self._space_to_depth(op, layer)
        op.stride = self._stride(layer.name, op.stride, layer)
        self._finish_conv(op, out_name, layer.out_shape, residual)

    def _finish_conv(self, op, name, shape, residual):
        """Append the convolution, as one operation for every tensor of ``residual``."""
        channels, h, w = shape
        outs = self._outs(name, [tensor.c for tensor in residual] or [channels], h, w)
        for index, out in enumerate(outs):
            first = sum(tensor.c for tensor in outs[:index])
            other = residual[index] if residual else None
            self.ops.append(dataclasses.replace(op, name=op.name + out.name[len(name) :], out=out, residual=other, first=first))

    def _space_to_depth(self, op, layer):
        """Lay the input out in the phases that take the fewest buffer rows, horizontally at least."""
        if layer.s_x == 1 or layer.groups != 1 or layer.w_o == 1:
            return
        n, c = self.cfg.n, layer.c_i

        def shape(phases_y):
            """Lines, columns, kernel and remaining vertical stride of the layout."""
            k_h, k_w = -(-layer.k_h // phases_y), -(-layer.k_w // layer.s_x)
            stride_y = layer.s_y // phases_y
            return (layer.h_o - 1) * stride_y + k_h, layer.w_o - 1 + k_w, k_h, k_w, stride_y

        def rows(phases_y):
            h, w, *_ = shape(phases_y)
            return -(-c * phases_y * layer.s_x // n) * h * w

        candidates = [layer.s_y] if layer.s_y > _MAX_STRIDE else [1, layer.s_y]
        phases_y = min(candidates, key=lambda p: (rows(p), p))
        h, w, k_h, k_w, stride_y = shape(phases_y)
        phases = (phases_y, layer.s_x)

        def fold(array):
            """(..., C, Kh, Kw) to (..., phases * C, kh, kw)."""
            lead = array.shape[:-3]
            padded = np.zeros((*lead, c, k_h * phases[0], k_w * phases[1]), array.dtype)
            padded[..., : layer.k_h, : layer.k_w] = array
            split = padded.reshape(*lead, c, k_h, phases[0], k_w, phases[1])
            d = len(lead)
            order = (*range(d), d + 2, d + 4, d, d + 1, d + 3)
            return np.ascontiguousarray(split.transpose(order)).reshape(*lead, c * phases[0] * phases[1], k_h, k_w)

        op.taps = fold(np.ones((c, layer.k_h, layer.k_w), bool))
        op.weight = fold(op.weight)
        op.kernel, op.stride, op.pad = (k_h, k_w), (stride_y, 1), (0, 0)
        channels = c * phases[0] * phases[1]
        self.input.c, self.input.h, self.input.w = channels, h, w
        self.layout = InputLayout(phases, (layer.p_h, layer.p_w))

    def _add(self, layer):
        post = _activation(layer, self.quant[layer.name])
        if layer.name in self.fused:
            conv = self.fused[layer.name]
            other = next(name for name in layer.inputs if name != conv)
            self._conv(self.table.by_name[conv], layer.name, self.values[other], post, (conv, layer.name))
            return
        left, right = (self.values[name] for name in layer.inputs)
        if layer.activation == "leaky":
            # Only the activation before the sum can be leaky: one more copy applies it.
            self._copy(layer, layer.name + "/sum", left, right)
            self._copy(layer, layer.name, self.values[layer.name + "/sum"], (), act=post)
        else:
            self._copy(layer, layer.name, left, right, post=post)

    def _copy(self, layer, name, source, residual, act=(ACT_NONE, 0), post=(ACT_NONE, 0)):
        """A convolution that copies ``source``, applies ``act``, adds ``residual`` and applies ``post``."""
        op = Op(
            name=name, layers=(layer.name,), kind=CONV, parts=tuple(source), out=None, groups=layer.c_o,
            weight=np.ones((layer.c_o, 1, 1, 1), np.int16), bias=np.zeros(layer.c_o, np.int32),
            act=act[0], parm=act[1], post_act=post[0], post_parm=post[1],
        )  # fmt: skip
        self._finish_conv(op, name, layer.out_shape, residual)

    def _pool(self, layer):
        lq = self.quant[layer.name]
        if max(layer.k_w, layer.k_h) > _MAX_POOL_WINDOW:
            raise CompileError(f"layer {layer.name}: pooling windows go up to {_MAX_POOL_WINDOW}, "
                               f"not {max(layer.k_w, layer.k_h)}")  # fmt: skip
        parts = self._parts(layer)
        stride = self._stride(layer.name, (layer.s_y, layer.s_x), layer)
        for part, out in zip(parts, self._outs(layer.name, [t.c for t in parts], layer.h_o, layer.w_o), strict=True):
            self.ops.append(Op(
                name=out.name, layers=(layer.name,), kind=MAX_POOL if layer.type == "MaxPool" else AVG_POOL, parts=(part,),
                out=out, kernel=(layer.k_h, layer.k_w), stride=stride, pad=(layer.p_h, layer.p_w),
                shift=lq.shift, mult=lq.mult,
            ))  # fmt: skip


def lower(qnet, cfg):
    """The :class:`~compiler.ir.graph.Graph` of a :class:`~models.arithmetic.quantised_network.QuantNetwork`.

    Raises
    ------
    CompileError
        If a layer has a stride or a pooling window that the machine cannot do.
    """
    return _Lowering(qnet, cfg).run()
