"""What is kept, for how long, and whether it is whole.

`conflicts` takes decisions, `cancellation` ends the open work of a study on request, `deletion`
takes a study away, `retention` lets go of what is old and delivered; `remove` deletes the files
that any of them gave up. `patients` puts studies
under the right patient. `whole` compares the study log with the files, by what `promises` says, and
`repair` mends; `backup` copies both, `restore` puts them back.
"""
