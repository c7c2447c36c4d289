"""Asked over DICOM: the Query/Retrieve SCP, PS3.4 Annex C.

`serve` says which requests are answered, and by what; `places` how many at the same time. `find`
answers queries; `retrieve` gives away results, by the keys that `unique_keys` reads and the
`sub_operations` that send them.
"""
