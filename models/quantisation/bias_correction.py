"""What rounding a layer's weights adds to its sums on average, which its bias can take away.

Maps behind a relu have a mean far from zero, so that the errors of a filter's weights, small as they are, add up to an offset that every
position has in common. Nagel, van Baalen, Blankevoort, Welling, "Data-free quantization through weight equalization and bias correction",
ICCV 2019, section 3.3. Biases have 32 bits and cost no cycles.
"""

import numpy as np


def mean_error(errors: np.ndarray, means: np.ndarray, groups: int) -> np.ndarray:
    """What each filter's sum lacks on average, (O).

    Parameters
    ----------
    errors : ndarray (O, I/groups, Kh, Kw)
        Weights minus the rounded weights.
    means : ndarray (I)
        Average of each input channel. Padding counts as if it had it too: at the border the correction is a little large.
    groups : int
    """
    filters = len(errors) // groups
    by_channel = errors.sum(axis=(2, 3)).reshape(groups, filters, -1)
    return np.einsum("gfc,gc->gf", by_channel, means.reshape(groups, -1)).reshape(-1)
