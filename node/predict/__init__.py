"""DICOM files in, result objects out: what the node does, without network, database or queue.

``find`` sorts files into studies, ``run`` analyses them and writes the objects, ``document``
writes down what came of each image. The triage, the analysis and the reports are the node's own.
"""
