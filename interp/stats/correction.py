"""p-values corrected for the number of components that were tested."""

import numpy as np
from jaxtyping import Float


def benjamini_hochberg(p: Float[np.ndarray, " ..."]) -> Float[np.ndarray, " ..."]:
    """p-values corrected for the number of components tested, by false discovery rate; NaN stays.

    Source  Benjamini & Hochberg 1995, as SciPy computes it.
    """
    from scipy.stats import false_discovery_control

    corrected = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = false_discovery_control(p[tested])
    return corrected
