"""The node beside a small PACS of its own: two real studies in, their results out and back.

``films`` puts the eight films together as studies, ``pacs`` is the other side of the associations,
``node_process`` is the node, ``outcome`` what its log says, ``show`` what the person sees, and
``run`` starts, sends, waits and stops.
"""
