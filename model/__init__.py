"""From the stored pixels of one mammogram to a malignancy score and its heat map.

``pixels`` (stored values to a display array) → ``preprocess`` (display array to network
input) → ``network`` (EfficientNetV2B0) → ``classify`` (score) → ``explain`` (Grad-CAM).
``manifest`` says what a set of weights is; ``errors`` is what can go wrong. ``statistics`` and
``curves`` measure scores against what is known: an evaluation does, and a node its own outcomes.

Training and the node pass through the same functions.
"""
