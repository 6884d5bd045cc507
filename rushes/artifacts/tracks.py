"""`tracks.parquet`: one row per face or object per frame, written and read in constant memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rushes.artifacts import store
from rushes.errors import NotFound, ResultsDiffer

if TYPE_CHECKING:  # Imported late: most processes never open a track table.
    import pyarrow as pa
    import pyarrow.parquet as pq

SCHEMA = "rushes.tracks/1"
_ROW_GROUP = 5_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face or object in one frame.

    Attributes:
        frame: 0-based frame.
        track: Number of the track, unique in the video.
        x, y, width, height: Box in pixels of the video; may reach outside the picture.
        score: Detector's confidence 0 to 1; none when the engine gives none.
        source: `face_landmarker` for faces, `object_detector` for objects (spec 05 §1.4).
        label: `face`, or the class of the object.
        center: Point that stands for the face or object, in pixels.
        blendshapes: Scores 0 to 1 in the order of `TrackTable.blendshape_names`; none when not computed.
    """

    frame: int
    track: int
    x: float
    y: float
    width: float
    height: float
    center: tuple[float, float]
    score: float | None = None
    source: str = "face_landmarker"
    label: str = "face"
    blendshapes: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """What the rows of a track table refer to; sizes in pixels."""

    frame_rate: Fraction
    frame_count: int
    width: int
    height: int
    engine: str
    blendshape_names: Sequence[str] = ()


@lru_cache
def _columns() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("frame", pa.int32()),
            ("track", pa.int32()),
            ("x", pa.float32()),
            ("y", pa.float32()),
            ("width", pa.float32()),
            ("height", pa.float32()),
            ("center_x", pa.float32()),
            ("center_y", pa.float32()),
            ("score", pa.float32()),
            ("source", pa.dictionary(pa.int8(), pa.string())),
            ("label", pa.dictionary(pa.int16(), pa.string())),
            ("blendshapes", pa.list_(pa.float32())),
        ]
    )


class TrackWriter:
    """Takes sightings in frame order; see `writing_tracks`."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[Sighting] = []

    def add(self, sighting: Sighting) -> None:
        """Adds one row."""
        self._rows.append(sighting)
        if len(self._rows) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Writes the rows held so far as one row group."""
        if not self._rows:
            return
        rows = [
            {
                "frame": row.frame,
                "track": row.track,
                "x": row.x,
                "y": row.y,
                "width": row.width,
                "height": row.height,
                "center_x": row.center[0],
                "center_y": row.center[1],
                "score": row.score,
                "source": row.source,
                "label": row.label,
                "blendshapes": row.blendshapes,
            }
            for row in self._rows
        ]
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=_columns()))
        self._rows.clear()

    def finish(self, header: TrackHeader) -> None:
        """Writes what is left and the header, which is only known at the end."""
        self.flush()
        self._writer.add_key_value_metadata(
            {
                "rushes": json.dumps(
                    {
                        "schema": SCHEMA,
                        "frame_rate": str(header.frame_rate),
                        "frame_count": header.frame_count,
                        "width": header.width,
                        "height": header.height,
                        "engine": header.engine,
                        "blendshape_names": list(header.blendshape_names),
                    }
                )
            }
        )


@contextmanager
def writing_tracks(path: Path) -> Iterator[TrackWriter]:
    """Yields a writer for `tracks.parquet`; call `finish` before the block ends."""
    import pyarrow.parquet as pq

    with (
        store.replacing(path) as temporary,
        pq.ParquetWriter(temporary, _columns(), compression="zstd") as writer,
    ):
        yield TrackWriter(writer)


class TrackTable:
    """`tracks.parquet`, open for reading.

    Raises:
        NotFound: There is no such file.
        ResultsDiffer: It is damaged or of another schema.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.exists():
            raise NotFound(f"{path} does not exist.", remedy="Run the tracking stage first.")
        try:
            # Buffering ahead would hold the whole file: 70 MB more for two hours of two faces.
            self._file = pq.ParquetFile(path, pre_buffer=False)
            metadata = json.loads(self._file.metadata.metadata[b"rushes"])
            if metadata["schema"] != SCHEMA:
                raise ResultsDiffer(f"{path} holds {metadata['schema']!r}, not {SCHEMA!r}.")
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise ResultsDiffer(f"{path} is not a complete track table: {error}.") from error
        self.header = TrackHeader(
            Fraction(metadata["frame_rate"]),
            metadata["frame_count"],
            metadata["width"],
            metadata["height"],
            metadata["engine"],
            metadata["blendshape_names"],
        )

    def __iter__(self) -> Iterator[Sighting]:
        """Yields every sighting, in frame order."""
        for batch in self._file.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                center = (row.pop("center_x"), row.pop("center_y"))
                yield Sighting(**row, center=center)

    def frames(self) -> Iterator[tuple[int, list[Sighting]]]:
        """Yields every 0-based frame with its sightings, frames without any included."""
        rows = iter(self)
        pending = next(rows, None)
        for frame in range(self.header.frame_count):
            sightings = []
            while pending is not None and pending.frame == frame:
                sightings.append(pending)
                pending = next(rows, None)
            yield frame, sightings
