"""Programs that others wrote, which judge what we write: dciodvfy, dsrdump, PixelMed.

A test that needs such a peer is skipped with a printed reason where it is not installed; with
``MAMMONODE_REQUIRE_PEERS=1`` a missing peer is a failure.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")

DEBIAN_PACKAGES = {
    "dciodvfy": "dicom3tools",
    "dsrdump": "dcmtk",
    "java": "default-jre-headless",
    "orthanc": "orthanc",
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
        puts namesakes of DCMTK's tools there. Or ``pixelmed``, which is a jar for ``java``.

    Returns
    -------
    path
        Of the executable, or of the jar.
    """
    if name == "pixelmed":
        require_peer("java")
        path = PIXELMED_JAR if PIXELMED_JAR.is_file() else None
    else:
        path = _executable(name)
    if path is not None:
        return path
    package = DEBIAN_PACKAGES.get(name.lower())
    reason = f"{name} is not installed" + (f" (Debian package {package})" if package else "")
    if os.environ.get("MAMMONODE_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def dciodvfy_errors(path: Path) -> list[str]:
    """Lines in which dciodvfy (David Clunie's dicom3tools) reports an error in a DICOM file."""
    program = require_peer("dciodvfy")
    done = subprocess.run([program, path], capture_output=True, check=False, timeout=60)
    lines = done.stderr.decode(errors="replace").splitlines()
    # Without its closing line it did not get to the end of the file.
    if not any(not line.startswith(("Error", "Warning")) for line in lines):
        return [f"dciodvfy did not name the IOD; exit status {done.returncode}", *lines]
    return [line for line in lines if line.startswith("Error")]


def dsrdump_text(path: Path) -> str:
    """What DCMTK's dsrdump reads in a Structured Report; fails the test if it cannot read it."""
    program = require_peer("dsrdump")
    done = subprocess.run([program, path], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def pixelmed_errors(path: Path) -> list[str]:
    """Lines in which PixelMed's DicomSRValidator reports an error in a Structured Report."""
    jar = require_peer("pixelmed")
    # Recent Java caps the work of one XPath expression below what the validator's rules need.
    limits = [f"-Djdk.xml.xpath{kind}Limit=0" for kind in ("TotalOp", "ExprOp", "ExprGrp")]
    done = subprocess.run(
        [
            require_peer("java"),
            # One short run: the optimising compiler costs more than it gives, half of 14 s.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            *limits,
            "-cp",
            jar,
            "com.pixelmed.validate.DicomSRValidator",
            path,
        ],
        capture_output=True,
        check=False,
        timeout=240,
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    lines = text.splitlines()
    if not any(line.startswith("Found") for line in lines):
        return [f"PixelMed recognised no template; exit status {done.returncode}", *lines]
    return [line for line in lines if line.startswith("Error")]


def _executable(name: str) -> Path | None:
    """Where an executable is, outside the folder of the running Python."""
    own = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if folder and Path(folder).absolute() != own]
    folders += ["/usr/local/bin", "/usr/bin", "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return Path(found) if found else None
