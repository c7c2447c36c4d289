"""What is kept, for how long, and whether it is whole.

`decide` settles conflicts, `deletion` takes a study away on request, `retention` lets go of what is
old and delivered; `remove` deletes the files that any of them gave up. `whole` compares the study
log with the files, `backup` copies both.
"""
