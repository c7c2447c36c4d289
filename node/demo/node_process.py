"""The demo's node: ``mammonode serve`` as a process of its own, with settings of its own."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from node.demo.pacs import AE_TITLE
from node.errors import PermanentError
from node.service import read_port
from node.settings import Settings

logger = logging.getLogger(__name__)

STOP_S = 75.0
"""How long the node may take to stop before it is killed; longer than its roles may take."""
POLL_S = 0.1
VIEW_SET_QUIET_S = 1.0
"""Shorter than a hospital would have it: the sender is known to be done."""


def write_settings(out: Path, *, pacs_port: int, weights: str) -> Path:
    """Write the settings of the demo's node; JSON strings are TOML strings too."""
    path = out / "node.toml"
    path.write_text(
        f"""\
data_dir = {json.dumps(str((out / "node").absolute()))}

[receive]
port = 0
low_watermark_bytes = {64 * 1024**2}

[study]
view_set_quiet_s = {VIEW_SET_QUIET_S}

[model]
weights = {json.dumps(weights and str(Path(weights).absolute()))}

[[destinations]]
name = "demo-pacs"
ae_title = {json.dumps(AE_TITLE)}
host = "127.0.0.1"
port = {pacs_port}
profile = "everything"
""",
        encoding="utf-8",
    )
    return path


@contextlib.contextmanager
def running_node(
    settings_file: Path, settings: Settings, log_file: Path, deadline_s: float
) -> Iterator[int]:
    """Run ``mammonode serve`` as a process of its own; give the port that it listens at."""
    # The demo's settings are the file's alone.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAMMONODE_")}
    command = [sys.executable, "-m", "node", "serve", "--config", str(settings_file)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield _wait_for_port(process, settings, log_file, deadline_s)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            # Its roles end by themselves when it is gone.
            logger.warning("Node killed", extra={"event": "demo_node_killed", "after_s": STOP_S})
            process.kill()
            process.wait()


def _wait_for_port(
    process: "subprocess.Popen[bytes]", settings: Settings, log_file: Path, deadline_s: float
) -> int:
    """Wait until the node says where it listens."""
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise PermanentError(
                reason=f"The node ended at its start with status {process.returncode}: "
                f"{_last_line(log_file)}"
            )
        port = read_port(settings.data_dir)
        if port is not None:
            return port
        time.sleep(POLL_S)
    raise PermanentError(reason=f"The node did not start to listen; its log: {log_file}")


def _last_line(path: Path) -> str:
    """Give the last line of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"
