"""The supervisor, with real processes; what needs TensorFlow is in the integration tests."""

import logging
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from model.errors import WeightsError
from node.errors import PermanentError
from node.service import read_port, serve, supervisor
from node.service.role import Role
from node.service.supervisor import RoleProcess
from node.settings import ModelSettings, ReceiveSettings, Settings
from node.store import Store
from peers import echo, wait_until


def settings_in(folder: Path, *, port: int = 0, weights: str = "") -> Settings:
    return Settings(
        data_dir=folder / "data",
        receive=ReceiveSettings(port=port, low_watermark_bytes=0),
        model=ModelSettings(weights=weights),
    )


def stop_once_it_answers(data_dir: Path, answers: list[bool]) -> threading.Thread:
    """Wait beside `serve` until the receiver answers, then send SIGTERM as a service manager."""

    def watch() -> None:
        try:
            wait_until(lambda: read_port(data_dir) is not None, "the receiver listens")
            answers.append(echo(read_port(data_dir) or 0))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


def test_a_receiver_answers_until_sigterm_and_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    answers: list[bool] = []
    handler_before = signal.getsignal(signal.SIGTERM)
    watcher = stop_once_it_answers(settings.data_dir, answers)

    serve(settings, "receive")
    watcher.join()

    assert answers == [True]
    assert read_port(settings.data_dir) is None
    assert not list(settings.data_dir.glob("run/*.slot"))  # those are for workers
    assert signal.getsignal(signal.SIGTERM) is handler_before
    with Store(settings.data_dir).owned():
        pass  # the data folder is free again


def test_weights_that_cannot_be_used_stop_the_node_before_anything_starts(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path, weights=str(tmp_path / "missing"))

    with pytest.raises(WeightsError):
        serve(settings, "all")

    assert not settings.data_dir.exists()


def test_a_data_folder_that_another_node_owns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    monkeypatch.setattr(supervisor, "PREDECESSOR_S", 0.2)

    with (
        Store(settings.data_dir).owned(),
        pytest.raises(PermanentError, match="belongs to another running node"),
    ):
        serve(settings, "receive")


def test_a_port_that_is_taken_ends_the_node_instead_of_trying_for_ever(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = settings_in(tmp_path, port=other.getsockname()[1])

        with pytest.raises(PermanentError, match="receive cannot start"):
            serve(settings, "receive")


def test_a_role_that_dies_is_started_again_after_a_wait_that_grows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A setting that no tree of settings can hold ends the role with a traceback at its start.
    settings = settings_in(tmp_path).model_copy(update={"data_dir": Path("/proc/no such folder")})
    process = RoleProcess(Role.RECEIVE, settings, "")
    process.start()
    process.release()

    def has_died_twice() -> bool:
        process.watch()
        return len(deaths(caplog)) == 2

    with caplog.at_level(logging.ERROR):
        wait_until(has_died_twice, "the role has died twice")
    process.stop()

    assert [record.__dict__["restart_in_s"] for record in deaths(caplog)] == [0.5, 1.0]


def deaths(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.__dict__.get("event") == "role_died"]
