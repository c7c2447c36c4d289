"""What an analysis is given: files, and what is known of them before a pixel is read.

Apart from the pipeline, so that a worker can deliver before TensorFlow is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from node.errors import TriageReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInstance:
    """One instance of the study, and what its header alone already excluded.

    Attributes
    ----------
    path
        The DICOM file.
    dataset_sha256
        Hash of the data set as received, without the file meta information; where there are
        corrections it stands for both.
    triage_reason, triage_detail
        Why it is not worth reading, or None.
    corrections
        What the header is to say of the patient in place of what stands there, by keyword.
    """

    path: Path
    dataset_sha256: str
    triage_reason: TriageReason | None = None
    triage_detail: str = ""
    corrections: Mapping[str, str] = field(default_factory=dict)

    def correct(self, header: Dataset) -> None:
        """Put the corrections into a header that was read from the file."""
        if not self.corrections:
            return
        if not "".join(self.corrections.values()).isascii():
            # Whatever the character set was, it need not have these; ISO_IR 192 is UTF-8.
            header.decode()
            header.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in self.corrections.items():
            setattr(header, keyword, value)
