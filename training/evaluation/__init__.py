"""What weights reach on a data set, and how sure that is.

    scoring ─▶ scores ─▶ levels ─▶ statistics ─▶ bootstrap ─▶ measure ─▶ report
                                                     └──────▶ compare

``scoring`` runs the network; ``scores`` is the table that all figures come from, one row an image;
``levels`` rolls it up to breasts and patients; ``statistics`` are formulas, over all resamplings at
once; ``bootstrap`` draws patients. ``control`` and ``pointing_game`` say what a good figure must be
held against, ``gallery`` and ``plots`` draw. ``assess`` does all of it for one split; ``compare``
sets two evaluations of the same images against each other.
"""
