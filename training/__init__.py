"""How the weights came to be: never needed by a running node.

``datasets`` (a data set's own layout to one table) → ``splits`` (by patient) →
``input_pipeline`` (through `model.preprocess`) → ``augment`` → ``fit`` → ``calibrate`` →
``evaluate`` → ``export`` (weights, manifest and card, together or not at all).
"""
