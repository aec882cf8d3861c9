"""The compiler's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from squeezelerator.compiler.ir.graph import Op, Tensor

from squeezelerator.common.errors import UserError


class CompileError(UserError, ValueError):
    """A network that this machine cannot run; the message is one line that names the layer and what it would need."""


class GroupError(CompileError):
    """An operation that does not fit the activation buffer; ``tensor`` is its result."""

    def __init__(self, message: str, tensor: Tensor) -> None:
        super().__init__(message)
        self.tensor = tensor


class StreamError(CompileError):
    """Weight streams of operation ``op`` that find no place in their buffer beside what else it holds."""

    def __init__(self, message: str, op: Op) -> None:
        super().__init__(message)
        self.op = op
