"""The commands of ``python -m training``, one module a group; each parses, calls and prints."""
