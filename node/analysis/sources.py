"""What an analysis is given: files, and what is known of them before a pixel is read.

Apart from the pipeline, so that a worker can deliver before TensorFlow is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from node.errors import TriageReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInstance:
    """One instance of the study, and what its header alone already excluded.

    Attributes
    ----------
    path
        The DICOM file.
    dataset_sha256
        Hash of the data set as received, without the file meta information.
    triage_reason, triage_detail
        Why it is not worth reading, or None.
    """

    path: Path
    dataset_sha256: str
    triage_reason: TriageReason | None = None
    triage_detail: str = ""
