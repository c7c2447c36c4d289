"""The node: what lies between a PACS that sends a mammogram and a PACS that gets a result.

::

    PACS ──C-STORE──▶ intake.receive ─▶ store ─▶ intake.close_out ─▶ work_queue
                                                                         │
    PACS ◀─C-STORE── delivery.deliver ◀─ report ◀─ analysis.pipeline ◀───┘

``outcomes`` links what became of the breasts to their scores, ``performance`` measures those.
``study_log`` records every step, ``schedule`` is the clock, ``service`` starts and stops it all,
``cli`` is how a person asks, and ``query`` answers who asks over DICOM. Pixels and scores are
`model`'s business; `node` moves, keeps and describes them. Nothing here is for diagnostic use.
"""

__version__ = "0.1.0"
