"""The settings tree: its defaults, its rules, and the file that shows them."""

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from node.result_kinds import PROFILES, ResultKind
from node.settings import (
    DeliverySettings,
    DestinationSettings,
    PeerSettings,
    ReceiveSettings,
    Settings,
    StudySettings,
    is_loopback,
)
from node.settings_faults import known_keys

NODE_TOML = Path(__file__).parents[2] / "config" / "node.toml"
SET_BY_NO_DEFAULT = {"query.move_destinations", "model.prevalence", "destinations"}


def destination(**changes: Any) -> DestinationSettings:
    facts: dict[str, Any] = {"name": "pacs", "ae_title": "PACS", "host": "pacs", "port": 104}
    return DestinationSettings.model_validate(facts | changes)


def leaves(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{above}{name}.")
        else:
            found[above + name] = value
    return found


def with_comments_taken_away(text: str) -> dict[str, Any]:
    setting = re.compile(r"^# (\w+ = .*|\[\[[\w.]+\]\])$", re.MULTILINE)
    return tomllib.loads(setting.sub(r"\1", text))


def test_the_settings_file_shows_every_setting_with_its_default() -> None:
    shown = leaves(tomllib.loads(NODE_TOML.read_text()))

    assert set(shown) == set(known_keys()) - SET_BY_NO_DEFAULT
    assert shown == {
        key: value
        for key, value in leaves(Settings().model_dump(mode="json")).items()
        if key not in SET_BY_NO_DEFAULT
    }


def test_the_settings_file_explains_what_has_no_default() -> None:
    shown = with_comments_taken_away(NODE_TOML.read_text())

    assert "prevalence" in shown["model"]
    assert set(shown["destinations"][0]) == set(DestinationSettings.model_fields)
    assert set(shown["query"]["move_destinations"][0]) == set(PeerSettings.model_fields)
    assert Settings.model_validate(shown).destinations[0].kinds == (
        ResultKind.SCORE_REPORT,
        ResultKind.HEAT_MAP,
    )


def test_every_setting_in_the_file_has_a_sentence_above_it() -> None:
    lines = NODE_TOML.read_text().splitlines()

    bare = [
        line
        for above, line in itertools.pairwise(lines)
        if re.match(r"(# )?\w+ = ", line) and not re.match(r"# .*[\w.\"]$", above)
    ]

    assert bare == []


def test_every_setting_has_a_sentence_in_the_code() -> None:
    schema = Settings.model_json_schema()

    assert [
        f"{section}.{key}"
        for section, table in schema["$defs"].items()
        for key, field in table.get("properties", {}).items()
        if not field.get("description", "").endswith(".")
    ] == []


def test_the_settings_file_names_every_kind_and_every_profile() -> None:
    text = NODE_TOML.read_text()

    assert [name for name in (*ResultKind, *PROFILES) if f'"{name}"' not in text] == []


def test_a_profile_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="no such profile"):
        destination(profile="nonsense")


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_stands_for_its_kinds(profile: str) -> None:
    assert destination(profile=profile).kinds == PROFILES[profile]


@pytest.mark.parametrize("kinds", [{}, {"results": ["heat_map"], "profile": "ohif"}])
def test_a_destination_names_its_kinds_exactly_once(kinds: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="accepted: one of the two"):
        destination(**kinds)


def test_two_destinations_cannot_share_a_name() -> None:
    twice = (destination(profile="ohif"), destination(profile="everything"))

    with pytest.raises(ValidationError, match="the name 'pacs' twice"):
        Settings(destinations=twice)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "node.hospital", "192.0.2.7"])  # noqa: S104
def test_the_node_does_not_listen_beyond_loopback_to_any_caller(host: str) -> None:
    with pytest.raises(ValidationError, match="allowed_ae_titles"):
        ReceiveSettings(host=host)

    assert ReceiveSettings(host=host, allowed_ae_titles=("PACS",)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_known_by_each_of_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("key", ["view_set_quiet_s", "quiet_s"])
def test_no_quiet_time_is_longer_than_the_cap(key: str) -> None:
    with pytest.raises(ValidationError, match=rf"{key}: found 901; accepted: at most study\.cap_s"):
        StudySettings.model_validate({key: 901})


def test_the_first_wait_is_at_most_the_longest() -> None:
    with pytest.raises(ValidationError, match=r"at most delivery\.longest_retry_s \(5\)"):
        DeliverySettings(first_retry_s=6, longest_retry_s=5)


def test_an_ae_title_of_spaces_alone_is_none() -> None:
    with pytest.raises(ValidationError):
        ReceiveSettings(ae_title="   ")

    assert ReceiveSettings(ae_title=" NODE ").ae_title == "NODE"


def test_a_truth_value_is_no_number() -> None:
    with pytest.raises(ValidationError, match="no truth value"):
        ReceiveSettings.model_validate({"port": True})


def test_the_database_password_is_not_in_the_settings_as_text() -> None:
    settings = Settings.model_validate({"database": {"url": "postgresql+psycopg://u:hush@db/log"}})

    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)


def test_a_destination_goes_before_the_settings_of_all() -> None:
    pacs = destination(profile="ohif", max_attempts=2, dimse_timeout_s=5)
    settings = Settings(delivery=DeliverySettings(first_retry_s=7), destinations=(pacs,))

    delivery = settings.delivery_to(pacs)

    assert (delivery.max_attempts, delivery.dimse_timeout_s) == (2, 5)
    assert (delivery.first_retry_s, delivery.longest_retry_s) == (7, 3600)
    assert set(DeliverySettings.model_fields) <= set(DestinationSettings.model_fields)


def test_the_waits_of_a_destination_do_not_contradict_those_of_all() -> None:
    pacs = destination(profile="ohif", longest_retry_s=5)

    with pytest.raises(ValidationError, match=r"destinations\[0\]\.first_retry_s: found 30"):
        Settings(destinations=(pacs,))


@pytest.mark.parametrize(
    "tls",
    [
        {"tls_ca_file": "ca.pem"},
        {"tls_certificate_file": "node.pem"},
        {"tls": True, "tls_key_file": "node.key"},
    ],
)
def test_files_for_tls_need_tls_and_a_key_its_certificate(tls: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="tls"):
        destination(profile="ohif", **tls)


def test_a_way_to_confirm_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="confirm"):
        destination(profile="ohif", confirm="perhaps")


def test_c_move_sends_to_a_destination_or_to_an_ae_that_only_fetches() -> None:
    reader = {"ae_title": "READER", "host": "reader", "port": 104, "tls": True}
    settings = Settings.model_validate(
        {
            "destinations": [destination(profile="ohif", dimse_timeout_s=7).model_dump()],
            "query": {"move_destinations": [reader]},
        }
    )

    to_pacs = settings.move_destination("PACS")
    to_reader = settings.move_destination("READER")

    assert to_pacs is not None
    assert (to_pacs[0].host, to_pacs[1].dimse_timeout_s) == ("pacs", 7)
    assert to_reader == (PeerSettings.model_validate(reader), settings.delivery)
    assert settings.move_destination("pacs") is None
