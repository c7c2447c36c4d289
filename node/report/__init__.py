"""From a `StudyResult` to DICOM objects, one file a kind of object.

``write`` knows every kind; ``codes``, ``provenance`` and ``envelope`` are what all of them stand
on, ``source_image`` what a source says of itself, ``score_words`` how a score is said and
``regions`` how a region is written. The reports share ``document`` and ``image_library``, two of
them ``structured_report``. The pictures share ``secondary_capture`` and ``lettering``; ``overlay``
draws what ``heat_map`` wraps, with its colours and its panel, ``summary_picture`` what
``summary_page`` wraps.
"""
