"""The node's own live figures: its scores against what became known of the breasts.

``truth`` makes rows of what `node.outcomes.link` linked, ``measure`` makes figures of rows, with
``intervals`` that know that breasts of one patient are no independent evidence, and ``page`` draws
them. Research software, not for diagnostic use.
"""
