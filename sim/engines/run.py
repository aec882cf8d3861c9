"""The three engines behind one interface: network or program and input in, outputs and times out."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.sim.engines.model import ModelResult, run_model
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, RtlResult, run_rtl
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.spec.program import Program

__all__ = ["ENGINES", "EngineError", "EngineRun", "ProgramRun", "load_memory", "run_golden_engine", "run_program_engine"]

#: Names of the engines; the first two execute programs and know time.
ENGINES = ("rtl", "model", "golden")


class EngineError(UserError, RuntimeError):
    """An engine could not finish; the message is one line."""


@dataclasses.dataclass(frozen=True)
class EngineRun:
    """``outputs`` {layer: int16 (C, H, W)}; ``result`` what a timed engine returned, else None; ``wall_s`` seconds."""

    outputs: dict[str, np.ndarray]
    result: ModelResult | RtlResult | None
    wall_s: float


@dataclasses.dataclass(frozen=True)
class ProgramRun(EngineRun):
    """A run on an engine that knows time."""

    result: ModelResult | RtlResult


def load_memory(program: Program, x: np.ndarray) -> bytearray:
    """The program's memory with input ``x`` (int16 C, H, W) in place."""
    memory = bytearray(program.image)
    for tensor in program.inputs:
        data = tensor.pack(x)
        memory[tensor.offset : tensor.offset + len(data)] = data
    return memory


def run_golden_engine(net: QuantNetwork, x: np.ndarray) -> EngineRun:
    """All layers' outputs from the golden model."""
    begin = time.perf_counter()
    return EngineRun(golden.run(net, x), None, time.perf_counter() - begin)


def run_program_engine(engine: str, program: Program, x: np.ndarray, *, memory: DramProfile = REFERENCE, stall: float = 0.0, seed: int = 0,
                       waves: str | Path | None = None) -> ProgramRun:
    """Run ``program`` on engine "rtl" or "model".

    Raises EngineError if the machine halted with an error.
    """
    begin = time.perf_counter()
    content = load_memory(program, x)
    if engine == "model":
        result = run_model(program, content, dram=memory)
    else:
        result = run_rtl(program.cfg, RtlProgram.of(program, content), RtlOptions(memory=memory, stall=stall, seed=seed, waves=waves))
        if result.error is not None:
            error = result.error
            raise EngineError(f"the machine halted: {error.code} in {error.unit} (detail {error.detail})")
    outputs = {tensor.name: tensor.unpack(result.memory) for tensor in program.outputs}
    return ProgramRun(outputs, result, time.perf_counter() - begin)
