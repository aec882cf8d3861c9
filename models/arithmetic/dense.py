"""The same network with nothing to skip: what zero weights save is measured against it."""

from dataclasses import replace

import numpy as np

from squeezelerator.models.arithmetic.quantised_network import QuantNetwork


def zero_share(weight: np.ndarray) -> float:
    """Share of zeros in an array of weights."""
    return 1 - np.count_nonzero(weight) / weight.size


def without_zeros(net: QuantNetwork) -> QuantNetwork:
    """A quantised network with every zero weight replaced by the smallest there is.

    Parameters
    ----------
    net : QuantNetwork

    Returns
    -------
    QuantNetwork
        Zeros are 1 and -1 in turn, all other numbers as they were: same shapes, same formats, nearly the same sums.

    Raises
    ------
    QuantError
        If a sum could no longer be held, in one line that names the layer.
    """
    quant = {}
    for name, numbers in net.quant.items():
        if numbers.weight is not None:
            flat = numbers.weight.reshape(-1).copy()
            (zeros,) = np.nonzero(flat == 0)
            flat[zeros[0::2]], flat[zeros[1::2]] = 1, -1
            numbers = replace(numbers, weight=flat.reshape(numbers.weight.shape))
        quant[name] = numbers
    return QuantNetwork(net.table, quant, net.input_frac, net.synthetic).validate()
