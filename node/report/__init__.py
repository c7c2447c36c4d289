"""From a `StudyResult` to DICOM objects, one file a kind of object.

``write`` knows every kind; ``codes``, ``provenance`` and ``envelope`` are what all of them stand
on, ``source_image`` what a source says of itself. The reports share ``structured_report`` and
``image_library``; ``overlay`` draws the picture that ``heat_map`` wraps, with its colours and its
panel.
"""
