"""Area of a machine on an FPGA: a model fitted to measured syntheses, with its error.

``area.csv`` has what yosys made of machines for the ECP5 (``python -m explore.measure_area`` adds rows; the 8 x 8 machine's are those of
nextpnr, docs/fpga.md). Multipliers and block RAMs follow from the machine's structure; LUTs and flip-flops are sums of terms with fitted
coefficients, of N and sectors: bus and registers were not varied. Larger machines are extrapolations, and a synthesis is no
place and route: :mod:`rtl.synth` says what fits a device.
"""

import csv
import functools
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from squeezelerator.rtl.fpga.devices import DEFAULT_DEVICE
from squeezelerator.rtl.fpga.implementation import block_rams
from squeezelerator.spec.machine import MachineConfig

__all__ = ["MEASURED", "Area", "AreaError", "Measured", "area", "area_errors", "read_measured", "terms"]

MEASURED = Path(__file__).with_name("area.csv")
#: Columns of the file that are the machine's; its other parameters were the defaults.
MACHINE_COLUMNS = ("n", "buffer_kib", "rf", "bus_bits", "sectors")


@dataclass(frozen=True)
class Area:
    """What a machine takes: LUTs (those that make LUT RAMs included), flip-flops, multipliers of 18 bits, block RAMs of 18 Kbit."""

    luts: int
    flip_flops: int
    multipliers: int
    block_rams: int


@dataclass(frozen=True)
class Measured:
    """A machine and what synthesis made of it."""

    cfg: MachineConfig
    area: Area


@dataclass(frozen=True)
class AreaError:
    """Error of the model in one quantity, in %: each machine is estimated by the model of all others (``mean`` of sizes, ``worst``)."""

    mean: float
    worst: float
    machines: int


def read_measured(path: Path = MEASURED) -> tuple[Measured, ...]:
    """The measured machines."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        numbers = {name: float(row[name]) if name == "buffer_kib" else int(row[name]) for name in MACHINE_COLUMNS}
        found.append(Measured(MachineConfig(**numbers), Area(*(int(row[item.name]) for item in fields(Area)))))  # pyright: ignore[reportArgumentType] - as read
    return tuple(found)


def terms(cfg: MachineConfig, name: str) -> np.ndarray:
    """What a quantity is taken to be a sum of: a constant, lanes, and for LUTs PEs and ports of the activation buffer (a lane has one a
    sector); a PE's flip-flops are the multiplier's."""
    return np.array([1.0, cfg.n, cfg.n * cfg.n, cfg.n * cfg.sectors][: 4 if name == "luts" else 2])


def _fitted(measured: tuple[Measured, ...], name: str) -> np.ndarray:
    """Coefficients of :func:`terms`, by least squares of relative errors."""
    wanted = np.array([getattr(one.area, name) for one in measured], float)
    matrix = np.array([terms(one.cfg, name) for one in measured]) / wanted[:, None]
    return np.linalg.lstsq(matrix, np.ones(len(wanted)), rcond=None)[0]


@functools.cache
def _model() -> dict[str, np.ndarray]:
    measured = read_measured()
    return {name: _fitted(measured, name) for name in ("luts", "flip_flops")}


def _structure(cfg: MachineConfig) -> tuple[int, int]:
    """(multipliers, block RAMs): one multiplier a PE, those of post-processing and of addresses; the memories of the buffers and, as where
    a device has enough, of the register files."""
    return cfg.n * cfg.n + 3 * cfg.n + 8, sum(block_rams(cfg, DEFAULT_DEVICE))


@functools.lru_cache(maxsize=1024)
def area(cfg: MachineConfig) -> Area:
    """The estimated area of a machine."""
    found = {name: max(0, round(float(terms(cfg, name) @ coefficients))) for name, coefficients in _model().items()}
    return Area(found["luts"], found["flip_flops"], *_structure(cfg))


def area_errors() -> dict[str, AreaError]:
    """{quantity: error of the model}, each machine left out in turn; multipliers and block RAMs have no fit to leave it out of."""
    measured, found = read_measured(), {}
    for name in (item.name for item in fields(Area)):
        errors = []
        for index, one in enumerate(measured):
            rest = measured[:index] + measured[index + 1 :]
            if name in ("luts", "flip_flops"):
                estimate = float(terms(one.cfg, name) @ _fitted(rest, name))
            else:
                estimate = getattr(area(one.cfg), name)
            errors.append(100 * abs(estimate / getattr(one.area, name) - 1))
        found[name] = AreaError(float(np.mean(errors)), max(errors), len(measured))
    return found
