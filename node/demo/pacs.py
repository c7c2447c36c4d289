"""A small PACS: files every object that it is sent, as it came."""

import itertools
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydicom import dcmread
from pynetdicom import (
    AE,
    AllStoragePresentationContexts,
    VerificationPresentationContexts,
    evt,
)
from pynetdicom.transport import ThreadedAssociationServer

from model.views import read_view

AE_TITLE = "DEMO_PACS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One object that the PACS was sent.

    Attributes
    ----------
    laterality, view_position
        As it says; empty in a report.
    path
        Where it lies.
    filed_at_s
        By the monotonic clock, in seconds.
    """

    study_instance_uid: str
    sop_instance_uid: str
    laterality: str
    view_position: str
    path: Path
    filed_at_s: float


class FilingPacs:
    """Storage and Verification SCP on a free loopback port, in this process.

    Parameters
    ----------
    folder
        Where the objects are filed.
    folder_names
        Folder of each study by its Study Instance UID; another study's folder is its UID.
    """

    def __init__(self, folder: Path, folder_names: Mapping[str, str]) -> None:
        self._folder = folder
        self._folder_names = folder_names
        self._lock = threading.Lock()
        self._filed: dict[str, Filed] = {}
        ae = AE(ae_title=AE_TITLE)
        ae.require_called_aet = True
        ae.supported_contexts = [
            *AllStoragePresentationContexts,
            *VerificationPresentationContexts,
        ]
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._file)]
        )
        assert isinstance(server, ThreadedAssociationServer)  # noqa: S101  # for the type checker: it does not block
        self._server = server

    @property
    def port(self) -> int:
        """TCP port that it listens at."""
        return int(self._server.server_address[1])

    @property
    def filed(self) -> tuple[Filed, ...]:
        """Every object so far, in the order that they came."""
        with self._lock:
            return tuple(self._filed.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()

    def _file(self, event: Any) -> int:
        """Write the object byte for byte as it came, PS3.4 B.2.3 status 0x0000."""
        encoded: bytes = event.encoded_dataset()
        ds = dcmread(BytesIO(encoded), stop_before_pixels=True)
        study_instance_uid = str(ds.StudyInstanceUID)
        shown = read_view(ds)
        side, view = shown.laterality or "", shown.view_position or ""
        folder = self._folder / self._folder_names.get(study_instance_uid, study_instance_uid)
        folder.mkdir(parents=True, exist_ok=True)
        series = str(ds.get("SeriesDescription", ds.Modality)).partition(" (")[0]
        words = re.findall(r"[a-z0-9]+", series.lower())
        name = "_".join(part for part in (*words, side, view) if part)
        with self._lock:
            known = self._filed.get(str(ds.SOPInstanceUID))
            path = known.path if known else _free_path(folder, name)
            path.write_bytes(encoded)
            self._filed[str(ds.SOPInstanceUID)] = Filed(
                study_instance_uid=study_instance_uid,
                sop_instance_uid=str(ds.SOPInstanceUID),
                laterality=side,
                view_position=view,
                path=path,
                filed_at_s=time.monotonic(),
            )
        return 0x0000


def _free_path(folder: Path, name: str) -> Path:
    """Find a file name that is not taken: number those that would be alike."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(path for path in (folder / f"{one}.dcm" for one in names) if not path.exists())
