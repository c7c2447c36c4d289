"""An archive that others wrote: a real Orthanc on the loopback, with plugins where wanted."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import wait_until
from validators import require_peer

AE_TITLE = "ORTHANC"
DICOMWEB_ROOT = "/dicom-web/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc and its REST API."""

    http_port: int
    dicom_port: int

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> Any:
        """Send one request, and read the JSON that is answered."""
        return json.loads(self.fetch(path, method=method, body=body) or b"null")

    def fetch(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        """Send one request, and give what is answered as it is."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, data=body, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            content: bytes = response.read()
            return content

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.ask("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def tags(self, study_id: str) -> list[dict[str, Any]]:
        """Read the attributes of every instance of a study, by keyword."""
        instances = self.ask(f"/studies/{study_id}/instances")
        return [self.ask(f"/instances/{one['ID']}/simplified-tags") for one in instances]


@contextmanager
def running_orthanc(folder: Path, *, plugins: Sequence[Path] = ()) -> Iterator[Orthanc]:
    """Run an Orthanc as long as the block lasts.

    Parameters
    ----------
    folder
        For its settings, storage and log.
    plugins
        Shared libraries that it loads; with DICOMweb's it answers below `DICOMWEB_ROOT`.
    """
    program = require_peer("Orthanc")
    http_port, dicom_port = free_ports(2)
    settings = {
        "Name": "Test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin) for plugin in plugins],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DefaultEncoding": "Latin1",
        "DicomWeb": {"Enable": True, "Root": DICOMWEB_ROOT},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    peer = Orthanc(http_port=http_port, dicom_port=dicom_port)
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, folder / "orthanc.json"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: process.poll() is not None or peer.is_up(), deadline_s=60, what="Orthanc is up"
        )
        assert process.poll() is None, (folder / "orthanc.log").read_text()
        yield peer
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_ports(count: int) -> list[int]:
    """Find free loopback ports; Orthanc cannot choose its own and say which."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
