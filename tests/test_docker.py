"""The two configurations beside the compose file fit each other."""

import json
import re
from pathlib import Path

from node.settings_loading import load_settings

DOCKER = Path(__file__).parent.parent / "docker"


def test_node_and_pacs_know_each_other() -> None:
    settings = load_settings(DOCKER / "node.toml", environment={})
    pacs = json.loads((DOCKER / "pacs.json").read_text())

    (destination,) = settings.destinations

    assert (destination.ae_title, destination.port) == (pacs["DicomAet"], pacs["DicomPort"])
    assert destination.ae_title in settings.receive.allowed_ae_titles
    assert pacs["DicomModalities"]["mammonode"] == [
        settings.receive.ae_title,
        "node",
        settings.receive.port,
    ]


def test_the_health_check_may_associate() -> None:
    settings = load_settings(DOCKER / "node.toml", environment={})
    dockerfile = (DOCKER / "Dockerfile").read_text()

    calling, called = re.findall(r'"-ae[tc]", "(\w+)"', dockerfile)

    assert calling in settings.receive.allowed_ae_titles
    assert called == settings.receive.ae_title
    assert f'"127.0.0.1", "{settings.receive.port}"' in dockerfile


def test_every_port_is_published_on_loopback_alone() -> None:
    published = re.findall(r'- "(\S+):\d+:\d+"', (DOCKER / "compose.yaml").read_text())

    assert published
    assert set(published) == {"127.0.0.1"}
