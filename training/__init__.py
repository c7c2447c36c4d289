"""How the weights came to be: never needed by a running node.

``datasets`` (a data set's own layout to one table) → ``splits`` (by patient) →
``input_pipeline`` (through `model.preprocess`) → ``augment`` → ``fit`` → ``calibrate`` →
``evaluate`` → ``export`` (weights, manifest and card, together or not at all).

Within ``fit``: ``start`` (what a network begins with) → ``stage`` (its epochs, by ``objective``,
kept by ``checkpoint``) → ``candidates`` (what validation chooses from). ``commands`` is the command
line, a module a group.
"""
