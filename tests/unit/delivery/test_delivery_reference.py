"""The reference's three formats, against the vectors of its specification."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction

import pytest

from rushes.artifacts import Shot, Sighting, Speech, TrackSpeech, Turn
from services.delivery.reference import FaceVoices, Head, audio_json, scenes_csv, tracking_json

RATE = Fraction(25)


def test_csv_of_two_scenes() -> None:
    text = "".join(scenes_csv([Shot(0, 100), Shot(100, 200)], RATE))
    assert text.encode() == (
        b"No,Timecode In,Timecode Out,Frame In,Frame Out\r\n"
        b"1,00:00:00.000,00:00:03.960,1,100\r\n"
        b"2,00:00:04.000,00:00:07.960,101,200\r\n"
    )


def test_csv_of_one_scene() -> None:
    assert "".join(scenes_csv([Shot(0, 200)], RATE)).endswith("\r\n1,00:00:00.000,00:00:07.960,1,200\r\n")


def test_csv_without_scenes_is_its_header() -> None:
    assert "".join(scenes_csv([], RATE)) == "No,Timecode In,Timecode Out,Frame In,Frame Out\r\n"


@pytest.mark.parametrize(
    ("index", "timecode"),
    [
        (0, "00:00:00.000"),
        (1, "00:00:00.040"),
        (24, "00:00:00.960"),
        (25, "00:00:01.000"),
        (99, "00:00:03.960"),
        (1500, "00:01:00.000"),
        (89999, "00:59:59.960"),
        (90000, "01:00:00.000"),
    ],
    ids=str,
)
def test_csv_timecodes(index: int, timecode: str) -> None:
    shots = [Shot(0, index), Shot(index, index + 1)] if index else [Shot(0, 1)]
    row = list(csv.reader(io.StringIO("".join(scenes_csv(shots, RATE)))))[-1]
    assert row[1:] == [timecode, timecode, str(index + 1), str(index + 1)]


def test_audio_has_every_frame_and_exactly_these_keys() -> None:
    speech = Speech([Turn(0.04, 0.12, "SPEAKER_01"), Turn(0.08, 0.12, "SPEAKER_00")], 0.2)
    text = "".join(audio_json(Head("ok.mp4", RATE, 5), speech.active(RATE, 5)))
    assert json.loads(text) == {
        "video_filename": "ok.mp4",
        "total_frames": 5,
        "fps": 25,
        "frames_analysis": [
            {"frame": number, "audio_info": {"is_speech_present": bool(who), "active_speaker_labels": who}}
            for number, who in enumerate(
                [[], ["SPEAKER_01"], ["SPEAKER_00", "SPEAKER_01"], [], []],
                start=1,
            )
        ],
    }
    assert list(json.loads(text)) == ["video_filename", "total_frames", "fps", "frames_analysis"]
    assert ": " not in text
    assert text.isascii()


@pytest.mark.parametrize(
    "name", ['a "quoted" clip.mp4', "back\\slash.mp4", "été — 日本.mp4", "new\nline.mp4"], ids=ascii
)
def test_json_holds_any_file_name(name: str) -> None:
    for document in (audio_json(Head(name, RATE, 0), []), tracking_json(Head(name, RATE, 0), [], nobody)):
        assert json.loads("".join(document)) == {
            "video_filename": name,
            "total_frames": 0,
            "fps": 25,
            "frames_analysis": [],
        }


def test_a_broken_rate_keeps_its_decimals() -> None:
    text = "".join(audio_json(Head("a.mp4", Fraction(30000, 1001), 0), []))
    assert json.loads(text)["fps"] == 29.97


def nobody(_frame: int, _track: int) -> list[str]:
    return []


def test_tracked_objects_are_sorted_by_centroid_and_have_exactly_these_keys() -> None:
    face = Sighting(1, 7, 90.0, 5.0, 40.9, 50.2, (110.8, 30.0), blendshapes=(0.1,))
    dog = Sighting(1, 3, -20.0, 5.0, 60.0, 70.0, (-5.5, 40.0), 0.8, "object_detector", "dog")
    text = "".join(
        tracking_json(
            Head("a.mp4", RATE, 2),
            [(0, []), (1, [face, dog])],
            lambda frame, track: ["SPEAKER_00"] if (frame, track) == (1, 7) else [],
        )
    )
    assert json.loads(text)["frames_analysis"] == [
        {"frame": 1, "tracked_objects": []},
        {
            "frame": 2,
            "tracked_objects": [
                {
                    "id": "obj_3",
                    "centroid_x": -5,
                    "source": "object_detector",
                    "label": "dog",
                    "active_speakers": [],
                    "bbox_width": 60,
                    "bbox_height": 70,
                },
                {
                    "id": "obj_7",
                    "centroid_x": 110,
                    "source": "face_landmarker",
                    "label": "face",
                    "active_speakers": ["SPEAKER_00"],
                    "bbox_width": 40,
                    "bbox_height": 50,
                },
            ],
        },
    ]


def test_face_voices_follow_the_intervals() -> None:
    tracks = [
        TrackSpeech(1, "A", 1, [(2, 4), (6, 8)], {}),
        TrackSpeech(1, "B", 1, [(3, 7)], {}),
        TrackSpeech(2, None, 0, [], {}),
    ]
    voices = FaceVoices(tracks)
    found = {frame: voices(frame, 1) for frame in range(10)}
    assert found == {
        0: [],
        1: [],
        2: ["A"],
        3: ["A", "B"],
        4: ["B"],
        5: ["B"],
        6: ["A", "B"],
        7: ["A"],
        8: [],
        9: [],
    }
    assert voices(3, 2) == []


def test_face_voices_may_skip_frames() -> None:
    voices = FaceVoices([TrackSpeech(1, "A", 1, [(2, 4), (6, 8)], {})])
    assert [voices(0, 1), voices(5, 1), voices(7, 1)] == [[], [], ["A"]]
