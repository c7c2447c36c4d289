"""What an event of the study log says to a person, in words."""

from collections.abc import Mapping
from typing import Any

UID_ENDING = 24
"""How much of a UID is shown where the whole one would fold: enough to tell studies apart."""

WORDS: Mapping[str, str] = {
    "study_opened": "first instance received",
    "study_closed": "complete",
    "study_reopened": "opened again",
    "study_without_image": "ended: no image came",
    "study_deleted": "files deleted on request",
    "study_canceled": "open work ended on request",
    "instance_received": "instance received",
    "instance_received_again": "instance received again",
    "instances_rejected": "instances rejected by a note",
    "conflict_kept": "another data set kept aside",
    "conflict_accepted": "another data set accepted",
    "conflict_discarded": "another data set discarded",
    "analysis_started": "analysis started",
    "analysis_completed": "analysis completed",
    "analysis_skipped": "nothing could be analysed",
    "analysis_failed": "analysis failed",
    "analysis_postponed": "analysis postponed",
    "analysis_overtaken": "analysis overtaken by a newer revision",
    "analysis_canceled": "analysis ended, nothing is written",
    "analysis_rescued": "analysis lost its worker, queued anew",
    "retry_requested": "retry asked for",
    "resend_requested": "results to be sent again asked for",
    "reanalysis_requested": "another analysis asked for",
    "patient_corrected": "patient corrected",
    "delivery_completed": "delivered",
    "delivery_failed": "delivery given up",
    "delivery_confirmed": "all of it confirmed",
    "delivery_canceled": "delivery ended, nothing more is sent",
    "delivery_postponed": "delivery postponed",
    "commitment_requested": "storage commitment asked for",
    "commitment_reported": "storage commitment reported",
    "instances_expired": "files of instances let go of",
    "results_expired": "files of results let go of",
    "instance_lost": "file of an instance lost",
    "conflict_lost": "file that was kept aside lost",
    "result_lost": "file of a result lost",
}
"""By the names that the study log has for them."""

_SAYINGS: Mapping[str, str] = {
    "sop_instance_uid": "{}",
    "calling_ae_title": "from {}",
    "close_reason": "{}",
    "images": "{} images",
    "results": "{} results",
    "destination": "to {}",
    "destinations": "to {}",
    "reason": "{}",
    "by": "by {}",
    "keywords": "{}",
    "differing_keywords": "{}",
    "committed": "{} committed",
    "from_state": "was {}",
}
"""How what an event says is put where its name and its value would read badly."""
_LEFT_OUT = ("study_instance_uid", "kind", "size_bytes", "dataset_sha256")
"""Said elsewhere, or of no use in one line; ``--json`` has it."""


def what_happened(event: str) -> str:
    """Give the words for an event; one that is not known here has its name for words."""
    return WORDS.get(event, event.replace("_", " "))


def details_of(fields: Mapping[str, Any]) -> str:
    """Give what an event says beside: numbers, AE titles, reasons, the ends of UIDs.

    Parameters
    ----------
    fields
        Of the event. What is empty or none is left out, and so is the first attempt.
    """
    return ", ".join(
        _SAYINGS.get(name, f"{name.replace('_', ' ')} {{}}").format(_shown(name, value))
        for name, value in fields.items()
        if value and name not in _LEFT_OUT and (name, value) != ("attempt", 1)
    )


def ending_of(uid: str, length: int = UID_ENDING) -> str:
    """Give the end of a UID, marked as such; one that is no longer than that whole."""
    return f"…{uid[-length:].lstrip('.')}" if len(uid) > length else uid


def _shown(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{ending_of(str(key))}: {item}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return ending_of(str(value)) if name.endswith("_uid") else str(value)
