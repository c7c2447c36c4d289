"""What a person can ask to be done again: a failed analysis, a delivery, other weights.

Everything is written in one transaction with the work that follows from it, while the node that
serves the same database may be running: it takes the work up by itself. `analysis` is for what was
received, `delivery` for what came of it, `failed` for whichever of the two went wrong; `asked` is
what they have in common.
"""
