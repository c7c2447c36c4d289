"""A whole node for a test: ``mammonode serve`` as a process, ended when the test ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from node.service import read_port

START_S = 60
STOP_S = 90
_SERVE = (sys.executable, "-m", "node", "serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNode:
    """A node that serves.

    Attributes
    ----------
    port
        That its receiver listens at.
    data_dir
        Its data folder.
    log_file
        Its log, one JSON line an event.
    process
        The supervisor.
    """

    port: int
    data_dir: Path
    log_file: Path
    process: "subprocess.Popen[bytes]"


def delivering_settings(
    *, weights: Path, pacs_ae_title: str, pacs_port: int, allowed_ae_titles: Sequence[str] = ()
) -> str:
    """Settings of a node that closes a study soon and sends its results to one PACS.

    Parameters
    ----------
    weights
        Folder of the weights.
    pacs_ae_title, pacs_port
        Of the PACS on loopback.
    allowed_ae_titles
        Who may call; empty: anybody.
    """
    return f"""
        [receive]
        port = 0
        allowed_ae_titles = {json.dumps(list(allowed_ae_titles))}
        low_watermark_bytes = 0
        [study]
        view_set_quiet_s = 0.5
        [model]
        weights = "{weights}"
        [[destinations]]
        name = "pacs"
        ae_title = "{pacs_ae_title}"
        host = "127.0.0.1"
        port = {pacs_port}
        results = ["score_report", "heat_map"]
    """


@contextlib.contextmanager
def running_node(folder: Path, settings: str, *, role: str = "all") -> Iterator[RunningNode]:
    """Run a node on the data folder ``folder / "data"``.

    Parameters
    ----------
    folder
        For its data, settings and log.
    settings
        TOML without `data_dir`.
    role
        As in ``mammonode serve --role``.
    """
    data_dir, settings_file, log_file = folder / "data", folder / "node.toml", folder / "node.log"
    settings_file.write_text(f'data_dir = "{data_dir}"\n{dedent(settings)}', encoding="utf-8")
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [*_SERVE, "--config", str(settings_file), "--role", role],
            env={k: v for k, v in os.environ.items() if not k.startswith("MAMMONODE_")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or read_port(data_dir) is not None,
            deadline_s=START_S,
            what="the node listens",
        )
        port = read_port(data_dir)
        assert port is not None, log_file.read_text()
        yield RunningNode(port=port, data_dir=data_dir, log_file=log_file, process=process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_S)
        finally:
            process.kill()
            process.wait()


def wait_until(claim: Callable[[], bool], *, deadline_s: float, what: str) -> None:
    """Wait until a claim is true; fail the test if it is not by then."""
    end_s = time.monotonic() + deadline_s
    while not claim():
        assert time.monotonic() < end_s, f"not within {deadline_s} s: {what}"
        time.sleep(0.05)
