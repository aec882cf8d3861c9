"""ONNX operators that compute a function of every element, which a machine with functions looks up in a table."""

from squeezelerator.models.importers.lowering.operators import composites, functions
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.operator_table import Node, operator
from squeezelerator.spec.network.layer_types import LayerType

TABLE = "a layer of its own, from a function table (machines with functions)"
_COMPOSED = "scales, relu and a layer from a function table (machines with functions)"


def _register(name: str, kind: LayerType) -> None:
    def lower(node: Node) -> Value:
        return functions.function(node.ctx, node.value(), kind)

    operator(name, unit="pool", how=TABLE)(lower)


for _name, _kind in (("HardSwish", LayerType.HARD_SWISH), ("Mish", LayerType.MISH), ("Softplus", LayerType.SOFTPLUS),
                     ("Exp", LayerType.EXP)):  # fmt: skip
    _register(_name, _kind)


@operator("Erf", unit="pool", how=f"{TABLE}; x * (1 + Erf(x / sqrt(2))) is GELU")
def _erf(node: Node) -> Value:
    return functions.function(node.ctx, node.value(), LayerType.ERF)


@operator("Gelu", unit="pool", how=TABLE)
def _gelu(node: Node) -> Value:
    kind = node.text("approximate", "none")
    if kind not in ("none", "tanh"):
        node.fail(f"approximate must be none or tanh, not {kind!r}")
    return functions.function(node.ctx, node.value(), LayerType.GELU_TANH if kind == "tanh" else LayerType.GELU)


@operator("Elu", unit="pool", how=f"{TABLE}; with another alpha than 1 {_COMPOSED}")
def _elu(node: Node) -> Value:
    return composites.elu(node.ctx, node.value(), node.attributes.get("alpha", 1.0))


@operator("Selu", unit="pool", how=f"{TABLE}, {_COMPOSED}")
def _selu(node: Node) -> Value:
    alpha, gamma = node.attributes.get("alpha", 1.67326319217681884765625), node.attributes.get("gamma", 1.05070102214813232421875)
    return composites.elu(node.ctx, node.value(), alpha, gamma)


@operator("Celu", unit="pool", how=f"{TABLE} between two scales")
def _celu(node: Node) -> Value:
    return composites.stretched(node.ctx, node.value(), LayerType.ELU, 1 / node.attributes.get("alpha", 1.0))


@operator("Swish", unit="pool", how=f"{TABLE}; with another alpha than 1 between two scales", limits="alpha not 0")
def _swish(node: Node) -> Value:
    return composites.stretched(node.ctx, node.value(), LayerType.SILU, node.attributes.get("alpha", 1.0))


@operator("Sqrt", unit="pool", how=TABLE, limits="of numbers that are not negative")
def _sqrt(node: Node) -> Value:
    return functions.power(node.ctx, node.value(), 0.5)


@operator("Pow", unit="pool", how=f"{TABLE}; powers of 2 and 3: Mul layers",
          limits="exponent constant, one number: 1, 2, 3 or no whole one")  # fmt: skip
def _pow(node: Node) -> Value:
    return functions.power(node.ctx, node.value(), node.needed("its exponent", 1))
