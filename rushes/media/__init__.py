"""Media: probing and decoding with PyAV, encoding with the ffmpeg program."""

from rushes.media.pictures import Picture, Pictures
from rushes.media.probe import AudioStream, MediaInfo, VideoStream, is_video_name, probe
from rushes.media.sound import Sound

__all__ = [
    "AudioStream",
    "MediaInfo",
    "Picture",
    "Pictures",
    "Sound",
    "VideoStream",
    "is_video_name",
    "probe",
]
