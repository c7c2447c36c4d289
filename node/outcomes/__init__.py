"""What became of the breasts: outcomes from a file into the log, and to the studies they are about.

``csv_table`` and ``diagnostic_report`` read files, ``importing`` takes them into the log, ``link``
says which studies they are about, each time anew, and ``training_table`` writes what is linked for
`training`.
"""
