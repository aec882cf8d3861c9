"""The program of a compilation: instructions and constants with what a host needs to know to run them."""

from typing import Any

from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.compiler.pipeline.stage import Compilation
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.spec.network.layer import NETWORK_INPUT
from squeezelerator.spec.program import Program, TensorMap

__all__ = ["assembled"]


def assembled(c: Compilation) -> Program:
    """The program, from what the stages up to synchronisation have set."""
    table, image = c.qnet.table, c.emitter.image
    inputs, outputs = _tensor_maps(c)
    return Program(
        cfg=c.cfg, network=table.name, instructions=c.instructions, constants_offset=c.memory_map.constants, constants=image.tobytes(),
        prog_offset=c.memory_map.constants + image.size, inputs=inputs, outputs=outputs, results=list(table.outputs),
        layers=[layer.name for layer in table.layers], layer_of=[step.layer for step in c.steps] + [None], table=table,
        quantisation=_quantisation(c.qnet),
    )  # fmt: skip


def _tensor_maps(c: Compilation) -> tuple[list[TensorMap], list[TensorMap]]:
    """(inputs, outputs): outputs are the layers of which everything has been stored."""
    table, n, row_bytes, offsets = c.qnet.table, c.cfg.n, c.cfg.row_bytes, c.memory_map.offsets
    inputs, outputs = [], []
    stored = {step.what for group in c.schedule.groups for step in group.steps if step.kind is StepKind.STORE}
    incomplete = {op.out.home for op in c.graph.ops if op.out not in stored}
    for name, (channels, height, width, pieces) in c.memory_map.shapes.items():
        shape = channels, height, width
        if name == NETWORK_INPUT:
            layout = c.graph.input_layout
            inputs.append(TensorMap(name, offsets[name], *table.input_shape, c.qnet.input_frac, shape, pieces, layout.phases, layout.pad,
                                    n, row_bytes))  # fmt: skip
        elif name in table.by_name and name not in incomplete:
            outputs.append(TensorMap(name, offsets[name], *shape, c.qnet.frac_of(name), shape, pieces, (1, 1), (0, 0), n, row_bytes))
    return inputs, outputs


def _quantisation(qnet: QuantNetwork) -> dict[str, Any]:
    """What the numbers mean: fractional bits of every map, whether the weights were drawn at random, and for networks from files the
    inputs and outputs as these name them."""
    found: dict[str, Any] = {
        "synthetic": bool(qnet.synthetic),
        "input_frac": int(qnet.input_frac),
        "frac_out": {layer.name: int(qnet.frac_of(layer.name)) for layer in qnet.table.layers},
    }
    if qnet.ports is not None:
        found |= {"ports": qnet.ports.as_dict(), "preprocessing": qnet.preprocessing}
    return found
