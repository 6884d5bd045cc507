"""The mel filter bank that the voice encoder was trained with: Slaney's scale, equal areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LINEAR_HZ = 200 / 3  # Hz per mel below the corner
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27  # natural logarithm of frequency per mel above it


def _mel_of(hertz: float) -> float:
    if hertz < _CORNER_HZ:
        return hertz / _LINEAR_HZ
    return float(_CORNER_MEL + np.log(hertz / _CORNER_HZ) / _LOG_STEP)


def _hertz_of(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _CORNER_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _CORNER_MEL) - _CORNER_MEL))
    return np.where(mels < _CORNER_MEL, mels * _LINEAR_HZ, above)


def filter_bank(rate: int, size: int, bands: int) -> NDArray[np.float32]:
    """Returns the weights (bands, size // 2 + 1) that sum a power spectrum into mel bands.

    Args:
        rate: Samples a second.
        size: Length of the Fourier transform, in samples.
        bands: Number of triangles between 0 Hz and half the rate.
    """
    bins = np.arange(size // 2 + 1) * (rate / size)
    edges = _hertz_of(np.linspace(0.0, _mel_of(rate / 2), bands + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - bins[None, :]
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    areas = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * areas[:, None]).astype(np.float32)
