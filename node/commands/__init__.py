"""The commands of ``mammonode``: each parses, calls and prints, and decides nothing.

A command imports what it calls when it is called, so that ``--help`` and a look at the log do not
wait for TensorFlow.
"""
