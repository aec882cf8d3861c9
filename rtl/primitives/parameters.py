"""Checks of the parameters that components are made with: what is wrong is said where the component is made, not in the Verilog."""

from squeezelerator.spec.machine import MachineConfig

__all__ = ["check_config", "check_flag", "check_range"]


def check_config(owner: str, cfg: MachineConfig) -> MachineConfig:
    """``cfg``, if it is a machine. Raises TypeError otherwise; ``owner`` is the name of the component."""
    if not isinstance(cfg, MachineConfig):
        raise TypeError(f"{owner}: cfg must be a MachineConfig, not {cfg!r}")
    return cfg


def check_range(owner: str, name: str, value: int, lowest: int, highest: int) -> int:
    """``value``, if it is a whole number from ``lowest`` to ``highest``. Raises ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{owner}: {name} must be a whole number from {lowest} to {highest}, not {value!r}")
    return value


def check_flag(owner: str, name: str, value: bool) -> bool:
    """``value``, if it is True or False. Raises TypeError otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be True or False, not {value!r}")
    return value
