"""Artefacts: the files that tasks write, and the one function that reads each of them back."""

from rushes.artifacts.manifest import FileRecord, Manifest, digest_of, key_of
from rushes.artifacts.shots import Shot, ShotList, read_shots, write_shots
from rushes.artifacts.speaking import Speaking, TrackSpeech, read_speaking, write_speaking
from rushes.artifacts.speech import Speech, Turn, read_speech, write_rttm, write_speech
from rushes.artifacts.store import is_partial, read_json, replacing, sha256, sync, write_json, write_text
from rushes.artifacts.tracks import Sighting, TrackHeader, TrackTable, TrackWriter, writing_tracks

__all__ = [
    "FileRecord",
    "Manifest",
    "Shot",
    "ShotList",
    "Sighting",
    "Speaking",
    "Speech",
    "TrackHeader",
    "TrackSpeech",
    "TrackTable",
    "TrackWriter",
    "Turn",
    "digest_of",
    "is_partial",
    "key_of",
    "read_json",
    "read_shots",
    "read_speaking",
    "read_speech",
    "replacing",
    "sha256",
    "sync",
    "write_json",
    "write_rttm",
    "write_shots",
    "write_speaking",
    "write_speech",
    "write_text",
    "writing_tracks",
]
