"""What the node calls itself as equipment: on all that it writes, and to know it again by."""

MANUFACTURER = "mammonode"
"""Manufacturer (0008,0070)."""

MODEL_NAME = "mammonode"
"""Manufacturer's Model Name (0008,1090)."""
