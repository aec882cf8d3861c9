"""Constraints of a space: comparisons of parameters and of what is known of a point before it is compiled.

A constraint is an expression in Python's notation, read as a tree of which only names, numbers, arithmetic, comparisons and a few functions
are allowed; nothing is executed as a program.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from squeezelerator.explore.space.axes import SpaceError

__all__ = ["Constraint"]

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_LOGIC: dict[type[ast.boolop], Callable[..., bool]] = {ast.And: all, ast.Or: any}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"sum": sum, "min": min, "max": max, "len": len, "abs": abs}


class Constraint:
    """An expression that a point must make true.

    Parameters
    ----------
    text : str
        Such as ``"machine.n * machine.bus_bits <= 2048"`` or ``"network.depths[0] <= network.depths[1]"``.
    names : collection of str
        Parameters (with their sections) and quantities that it may use.

    Raises
    ------
    SpaceError
        If it is no expression, or uses what is not allowed.
    """

    def __init__(self, text: object, names: frozenset[str]) -> None:
        if not isinstance(text, str):
            raise SpaceError(f"constraints: an expression in quotes is wanted, not {text!r}")
        self.text, self.names = text, names
        self.used: set[str] = set()
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError:
            raise SpaceError(f"constraint {text!r}: is no expression") from None
        self._check(self._tree)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true for a point's ``values``, {name: value}; raises SpaceError if it cannot be worked out."""
        try:
            return bool(self._value(self._tree, values))
        except (TypeError, IndexError, ZeroDivisionError) as error:
            raise SpaceError(f"constraint {self.text!r}: {error}") from None

    # -- names ------------------------------------------------------------------------------------------------

    def _name(self, node: ast.expr) -> str | None:
        """The parameter or quantity that ``node`` names, None if it is no name."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return f"{node.value.id}.{node.attr}"
        return None

    def _check(self, node: ast.expr) -> None:
        name = self._name(node)
        if name is not None:
            if name not in self.names:
                raise SpaceError(f"constraint {self.text!r}: {name!r} is none of {', '.join(sorted(self.names))}")
            self.used.add(name)
            return
        for child in self._operands(node):
            self._check(child)

    def _operands(self, node: ast.expr) -> list[ast.expr]:
        """The parts of ``node`` that are expressions, if it is allowed."""
        match node:
            case ast.Constant(value=int() | float() | str()):
                return []
            case ast.BoolOp(values=values) | ast.Tuple(elts=values) | ast.List(elts=values):
                return values
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return [operand]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return [left, right]
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
                return [left, *others]
            case ast.Subscript(value=value, slice=index):
                return [value, index]
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                return arguments
        raise SpaceError(f"constraint {self.text!r}: names, numbers, arithmetic, comparisons, and, or, not and "
                         f"{', '.join(_FUNCTIONS)} are allowed, not {ast.unparse(node)!r}")

    # -- values -----------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        name = self._name(node)
        if name is not None:
            return values[name]
        found = [] if isinstance(node, ast.BoolOp) else [self._value(child, values) for child in self._operands(node)]
        return self._combined(node, found, values)

    def _combined(self, node: ast.expr, found: list[Any], values: Mapping[str, Any]) -> Any:
        """The value of ``node`` whose operands have the values ``found``; ``and`` and ``or`` work theirs out one by one."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.BoolOp(op=op, values=parts):
                return _LOGIC[type(op)](self._value(part, values) for part in parts)
            case ast.UnaryOp(op=op):
                return _UNARY[type(op)](*found)
            case ast.BinOp(op=op):
                return _BINARY[type(op)](*found)
            case ast.Compare(ops=ops):
                return all(_COMPARE[type(op)](a, b) for op, a, b in zip(ops, found, found[1:], strict=False))
            case ast.Subscript():
                return found[0][found[1]]
            case ast.Call(func=ast.Name(id=function)):
                return _FUNCTIONS[function](*found)
        return tuple(found)
