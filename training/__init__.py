"""How the weights came to be: never needed by a running node.

``datasets`` (a data set's own layout to one table) → ``splits`` (by patient) → ``run_data`` (what a
run and its stages are trained on) → ``prepared_crops`` (through `model.preprocess`) → ``augment`` →
``batches`` → ``fit`` → ``calibrate`` → ``evaluate`` (``evaluation``: figures, heat maps, report,
and ``compare`` between two) → ``export`` (weights, manifest, ``card`` and licence, together or not
at all).

Within ``fit``: ``start`` (what a network begins with) → ``stage`` (its epochs, by ``objective``,
kept by ``checkpoint``) → ``candidates`` (what validation chooses from).

Beside the run: ``inspection`` and ``data_set_sheet`` (what a data set holds, and what is wrong
with it), ``convert`` (DICOM to PNG), ``roi`` (patches around ``lesions``), ``preview`` (what
augmentation does to images). ``commands`` is the command line, a module a group: inspect, convert,
patches, preview, fit, evaluate, compare, export.

Data sets: docs/data-sets.md; the run: docs/training.md; figures: docs/evaluation.md.
"""
