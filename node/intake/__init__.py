"""From an association to a closed study.

`receive` answers the associations, `spool` streams what they bring to disk, `header` reads it,
`triage` judges it, `admit` puts it into the store and the log, and `close_out` decides when a study
is complete.
"""
