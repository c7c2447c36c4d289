"""The viewer OHIF as a site would install it: its built files, and a web server in front of them.

OHIF (MIT licence) is fetched from npm once, into the user's cache; nothing of it is kept here.
"""

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from orthanc import DICOMWEB_ROOT, Orthanc
from validators import require_peer

VERSION = "3.13.2"
SHA512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Of the package ``@ohif/app`` at this version, in base64 as npm's registry states it."""
APP_CONFIG = Path(__file__).parent.parent / "config" / "ohif.js"
"""What docs/viewers.md tells a site to put in the place of ``app-config.js``."""

_PROXY_TIMEOUT_S = 60


def ohif_files() -> Path:
    """Find OHIF's built files, and fetch them first where they are not in the user's cache.

    Returns
    -------
    folder
        With ``index.html``, as `VERSION` was published but for its source maps.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mammonode"
    folder = cache / f"ohif-{VERSION}"
    if folder.is_dir():
        return folder
    npm = require_peer("npm")
    cache.mkdir(parents=True, exist_ok=True)
    # On the same file system, so that the folder is there whole or not at all.
    with tempfile.TemporaryDirectory(dir=cache) as work:
        subprocess.run([npm, "pack", "--silent", f"@ohif/app@{VERSION}"], cwd=work, check=True)
        (archive,) = Path(work).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert found == SHA512, f"@ohif/app {VERSION}: expected SHA-512 {SHA512}, found {found}"
        with tarfile.open(archive) as packed:
            files = [one for one in packed if not one.name.endswith(".map")]
            packed.extractall(work, members=files, filter="data")
        (Path(work) / "package" / "dist").rename(folder)
    return folder


class _Site(SimpleHTTPRequestHandler):
    """One origin for viewer and archive, as a web server in front of both gives it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, files: Path, orthanc: Orthanc) -> None:
        self._files = files
        self._orthanc = orthanc
        super().__init__(*args, directory=str(files))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(DICOMWEB_ROOT):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", APP_CONFIG.read_bytes())
        else:
            if not (self._files / path.lstrip("/")).is_file():
                # Routes such as /viewer are the application's own.
                self.path = "/index.html"
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Stay quiet: what fails, the browser reports."""

    def _pass_on(self) -> None:
        url = f"http://127.0.0.1:{self._orthanc.http_port}{self.path}"
        accept = self.headers.get("Accept", "*/*")
        request = urllib.request.Request(url, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=_PROXY_TIMEOUT_S) as response:  # noqa: S310
                self._answer(response.status, response.headers["Content-Type"], response.read())
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, "text/plain", error.read())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving_ohif(orthanc: Orthanc) -> Iterator[str]:
    """Serve OHIF with an archive behind it as long as the block lasts.

    Parameters
    ----------
    orthanc
        With the DICOMweb plugin.

    Yields
    ------
    origin
        As in ``http://127.0.0.1:8080``.
    """
    site = partial(_Site, files=ohif_files(), orthanc=orthanc)
    with ThreadingHTTPServer(("127.0.0.1", 0), site) as server:
        thread = threading.Thread(target=server.serve_forever, name="ohif")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
