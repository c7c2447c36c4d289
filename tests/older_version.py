"""What the version before wrote, for tests of upgrades: made from plain data, not by its code."""

import json
import zipfile
from pathlib import Path


def as_record_of_format_1(path: Path) -> None:
    """Turn the outcome of an analysis into one as it was before `[results]` became a part of it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    study = json.loads(members["study.json"])
    study["format"] = 1
    del study["form"]
    members["study.json"] = json.dumps(study).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
