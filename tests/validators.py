"""Programs that others wrote, which judge what we write: dciodvfy, dsrdump, PixelMed.

A test that needs such a peer is skipped with a printed reason where it is not installed; with
``MAMMONODE_REQUIRE_PEERS=1`` a missing peer is a failure.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

FILES = {
    "orthanc-dicomweb": Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    "pixelmed": Path("/usr/share/java/pixelmed.jar"),
}
"""Peers that are no executables: a plugin of Orthanc, and a jar for Java."""
_BATCH = Path(__file__).with_name("ValidateReports.java")
_MANY_FILES = 20

DEBIAN_PACKAGES = {
    "chromium": "chromium",
    "dciodvfy": "dicom3tools",
    "dcmdump": "dcmtk",
    "dsrdump": "dcmtk",
    "findscu": "dcmtk",
    "getscu": "dcmtk",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "movescu": "dcmtk",
    "npm": "npm",
    "orthanc": "orthanc",
    "orthanc-dicomweb": "orthanc-dicomweb",
    "pixelmed": "pixelmed-apps",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
}


def require_peer(name: str) -> Path:
    """Find a peer program, or skip the test; under MAMMONODE_REQUIRE_PEERS=1, fail it.

    Parameters
    ----------
    name
        An executable, found on PATH but never in the folder of the running Python: pynetdicom
        puts namesakes of DCMTK's tools there. Or one of `FILES`.

    Returns
    -------
    path
        Of the executable or file.
    """
    path = FILES[name] if name in FILES else _executable(name)
    if path is not None and path.is_file():
        return path
    package = DEBIAN_PACKAGES.get(name.lower())
    reason = f"{name} is not installed" + (f" (Debian package {package})" if package else "")
    if os.environ.get("MAMMONODE_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def require_root(what_for: str) -> None:
    """Skip the test where it does not run as root; under MAMMONODE_REQUIRE_PEERS=1, fail it."""
    if os.geteuid() == 0:
        return
    reason = f"root is needed {what_for}"
    if os.environ.get("MAMMONODE_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def dciodvfy_errors(*paths: Path) -> list[str]:
    """Errors that dciodvfy (David Clunie's dicom3tools) finds in DICOM files.

    Parameters
    ----------
    paths
        Of the files; it takes one at a time, and every processor runs one.

    Returns
    -------
    errors
        Each after the name of its file.
    """
    program = require_peer("dciodvfy")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda path: _dciodvfy_errors(program, path), paths))
    return [line for lines in found for line in lines]


def _dciodvfy_errors(program: Path, path: Path) -> list[str]:
    """Errors in one file."""
    done = subprocess.run([program, path], capture_output=True, check=False, timeout=60)
    lines = done.stderr.decode(errors="replace").splitlines()
    # Without its closing line it did not get to the end of the file.
    if not any(not line.startswith(("Error", "Warning")) for line in lines):
        lines.append(f"Error - did not name the IOD; exit status {done.returncode}")
    return [f"{path.name}: {line}" for line in lines if line.startswith("Error")]


def dsrdump_text(path: Path) -> str:
    """What DCMTK's dsrdump reads in a document; fails the test if it cannot read it."""
    program = require_peer("dsrdump")
    done = subprocess.run([program, path], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def pixelmed_errors(*paths: Path) -> list[str]:
    """Errors that PixelMed's DicomSRValidator finds in documents.

    Parameters
    ----------
    paths
        Of the files. One virtual machine reads them all: its start and the loading of the rules
        take longer than a file.

    Returns
    -------
    errors
        Each after the name of its file.
    """
    jar, java = require_peer("pixelmed"), require_peer("java")
    # Java runs a source file only where it has its compiler.
    require_peer("javac")
    # Recent Java caps the work of one XPath expression below what the validator's rules need.
    limits = [f"-Djdk.xml.xpath{kind}Limit=0" for kind in ("TotalOp", "ExprOp", "ExprGrp")]
    # In a short run the optimising compiler costs more than it gives.
    compiler = ["-XX:TieredStopAtLevel=1"] if len(paths) < _MANY_FILES else []
    done = subprocess.run(
        [java, *compiler, "-XX:+UseSerialGC", *limits, "-cp", jar, _BATCH, *paths],
        capture_output=True,
        check=False,
        timeout=240 + 10 * len(paths),
    )
    text = done.stdout.decode(errors="replace")
    said = {part.partition("\n")[0]: part.splitlines() for part in text.split("File: ")[1:]}
    errors = []
    for path in paths:
        lines = said.get(str(path), [])
        # Without its closing line it recognised no template, or did not get to the end.
        if "Root Template Validation Complete" not in lines:
            problem = done.stderr.decode(errors="replace")[-2000:]
            errors.append(f"{path.name}: Error: not validated; {problem}")
        errors += [f"{path.name}: {line}" for line in lines if line.startswith("Error")]
    return errors


def _executable(name: str) -> Path | None:
    """Where an executable is, outside the folder of the running Python."""
    own = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if folder and Path(folder).absolute() != own]
    folders += ["/usr/local/bin", "/usr/bin", "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return Path(found) if found else None
