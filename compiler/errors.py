"""The compiler's errors."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from squeezelerator.compiler.ir.graph import Op, Tensor

from squeezelerator.common.errors import UserError
from squeezelerator.spec.machine import ConfigError, MachineConfig


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


def larger_buffer(cfg: MachineConfig, is_enough: Callable[[MachineConfig], bool]) -> str:
    """Behind an error's message: the option that helps, the smallest buffer with which a machine like ``cfg`` has enough of what is short,
    or more PEs where none has."""
    step = cfg.n * cfg.n / 8
    kib = (cfg.buffer_kib // step + 1) * step
    while True:
        try:
            larger = dataclasses.replace(cfg, buffer_kib=kib)
        except ConfigError:
            return "; a larger --pe helps"
        if is_enough(larger):
            return f"; --buffer-kib {kib:g} helps"
        kib += step
