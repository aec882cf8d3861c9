"""``--dump``: what a run used and found, as files that other programs read.

``layers.csv`` (the layer table), ``quantised.npz`` (weights and everything else that the arithmetic needs, see
``models.arithmetic.quantised_network``), ``input.npy`` (int16 C, H, W), and for each engine ``ENGINE/LAYER.npy`` (int16 C, H, W): golden
has every
layer, the others those whose outputs leave the chip.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.tables.csv_file import write_csv
from squeezelerator.sim.engines.run import EngineRun

__all__ = ["dump"]


def dump(folder: str | Path, net: QuantNetwork, x: np.ndarray, runs: Mapping[str, EngineRun], preprocessing: str = "") -> None:
    """Write the files into ``folder`` (made if it does not exist).

    Parameters
    ----------
    net : QuantNetwork
    x : int16 ndarray (C, H, W)
    runs : dict of str to EngineRun
    preprocessing : str
        How pictures become inputs, see :mod:`models.pictures.images`; empty where that is not known.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(net.table, folder / "layers.csv")
    net.save_npz(folder / "quantised.npz", preprocessing)
    np.save(folder / "input.npy", x)
    for engine, run in runs.items():
        (folder / engine).mkdir(exist_ok=True)
        for name, output in run.outputs.items():
            np.save(folder / engine / f"{name}.npy", output)
