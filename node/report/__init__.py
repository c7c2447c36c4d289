"""From a `StudyResult` to DICOM objects, one file a kind of object.

``write`` knows every kind; ``codes``, ``provenance`` and ``envelope`` are what all of them stand
on, ``structured_report`` what the reports share; ``overlay`` draws the picture that ``heat_map``
wraps.
"""
