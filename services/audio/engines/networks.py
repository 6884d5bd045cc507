"""The two networks of the offline engine, with the weights that come inside published packages.

Both packages run their networks one small piece after the other (and one of them through a
TorchScript loader that torch has deprecated); here the same weights run over whole stretches at once.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rushes.artifacts import sha256
from rushes.errors import MissingPart, ResultsDiffer
from services.audio.level import same_power
from services.audio.mel import filter_bank
from services.audio.windows import FRAME, RATE

VAD_WEIGHTS = ("silero_vad", "data/silero_vad.jit")
VAD_SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
ENCODER_WEIGHTS = ("resemblyzer", "pretrained.pt")
ENCODER_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"


_KINDS = ("weight", "bias")


def packaged(package: str, path: str, digest: str) -> Path:
    """Returns the place of a file inside an installed package, without importing the package.

    Raises:
        MissingPart: The package or the file is not there.
        ResultsDiffer: The file is not the one that rushes was measured with.
    """
    spec = find_spec(package)
    place = Path(spec.origin).parent / path if spec and spec.origin else None
    if place is None or not place.is_file():
        raise MissingPart(
            f"The package {package} does not hold {path}.", remedy="Run: pip install 'rushes[audio]'"
        )
    if sha256(place) != digest:
        raise ResultsDiffer(
            f"{place} is not the file that rushes was measured with.",
            remedy=f"Install the version of {package} that the lock file names.",
        )
    return place


class SpeechDetector(nn.Module):
    """Silero VAD at 16 kHz: the probability of speech in each 32 ms, state kept from call to call."""

    _CONTEXT = 64
    _NAMES: ClassVar[dict[str, str]] = {
        "stft_conv.weight": "stft.forward_basis_buffer",
        **{f"conv{i + 1}.{kind}": f"encoder.{i}.reparam_conv.{kind}" for i in range(4) for kind in _KINDS},
        **{
            f"lstm.{kind}_{side}_l0": f"decoder.rnn.{kind}_{side}" for kind in _KINDS for side in ("ih", "hh")
        },
        **{f"final_conv.{kind}": f"decoder.decoder.2.{kind}" for kind in _KINDS},
    }

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
            place = packaged(*VAD_WEIGHTS, VAD_SHA256)
            packed = torch.jit.load(place, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        self.load_state_dict({ours: packed[f"_model.{theirs}"] for ours, theirs in self._NAMES.items()})
        self.eval()
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard; to be called before each file."""
        self._before = torch.zeros(self._CONTEXT)
        self._state: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def hear(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the probability of speech in each frame.

        Args:
            samples: The samples that follow those of the last call (n,); a last partial frame is
                completed with silence, so only the end of a file may have one.

        Returns:
            Probabilities (⌈n / 512⌉,).
        """
        sound = torch.from_numpy(samples)
        sound = torch.cat([self._before, functional.pad(sound, (0, -len(sound) % FRAME))])
        self._before = sound[-self._CONTEXT :]
        # Each frame is heard with the end of the one before, and mirrored at its own end.
        frames = functional.pad(sound.unfold(0, FRAME + self._CONTEXT, FRAME), (0, 64), mode="reflect")
        encoded = torch.cat([self._encode(part) for part in torch.split(frames, 512)])
        hidden, self._state = self.lstm(encoded, self._state)
        spoken = torch.sigmoid(self.final_conv(torch.relu(hidden).unsqueeze(-1)))
        return spoken.reshape(-1).numpy()

    def _encode(self, frames: Tensor) -> Tensor:
        real, imaginary = self.stft_conv(frames.unsqueeze(1)).chunk(2, dim=1)
        value = torch.sqrt(real**2 + imaginary**2)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            value = torch.relu(layer(value))
        return value.squeeze(-1)


class VoiceEncoder(nn.Module):
    """The GE2E speaker encoder of Resemblyzer: what a voice sounds like, as a direction in 256 dimensions.

    Attributes:
        scale: What it was trained to multiply cosines by, to make them log-likelihoods.
    """

    _LEVEL_DB = -30.0

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self._bank = torch.from_numpy(filter_bank(RATE, 400, 40))
        self._taper = torch.hann_window(400)
        place = packaged(*ENCODER_WEIGHTS, ENCODER_SHA256)
        weights: dict[str, Any] = torch.load(place, map_location="cpu", weights_only=True)["model_state"]
        self.scale = float(weights.pop("similarity_weight"))
        del weights["similarity_bias"]  # the same for all speakers: it cannot change a decision
        self.load_state_dict(weights)
        self.eval()

    @torch.inference_mode()
    def tell(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns unit vectors (n, 256) for windows of sound (n, samples) of one length."""
        sound = torch.from_numpy(same_power(windows, self._LEVEL_DB))
        _, (hidden, _) = self.lstm(self._mel(sound))
        return functional.normalize(torch.relu(self.linear(hidden[-1]))).numpy()

    def _mel(self, sound: Tensor) -> Tensor:
        spectrum = torch.stft(
            sound, 400, 160, window=self._taper, center=True, pad_mode="constant", return_complex=True
        )
        return (self._bank @ spectrum.abs().square()).transpose(1, 2)
