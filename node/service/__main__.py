"""One role, as the supervisor starts it; a person wants ``mammonode serve --role``."""

import logging
import os
import sys

from node.service.role import main

status = main(sys.argv[1:])
logging.shutdown()
# Threads of libraries that are still at work must not keep the process.
os._exit(status)
