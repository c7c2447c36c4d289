"""Asked over DICOM: the Query/Retrieve SCP, PS3.4 Annex C.

`serve` says which requests are answered, and by what; `places` how many at the same time.
"""
