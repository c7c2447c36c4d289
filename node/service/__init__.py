"""The composition root: the supervisor, the roles that it runs, and how they start and stop.

This package alone knows every other part of the node.
"""

from node.service.run_files import read_port
from node.service.supervisor import serve

__all__ = ["read_port", "serve"]
