"""From an association to a closed study.

`receive` takes the associations, `spool` streams what they bring to disk, `answering` hands what
they ask to whoever answers it, `answers` says yes or no to each C-STORE, `triage` judges what came,
`facts` takes from it what the log keeps, `admit` puts it into the store and the log, or `aside` if
its UID is taken, and `close_out` decides when a study is complete.
"""
