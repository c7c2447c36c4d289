"""Reading the settings: file, environment, and what a person is told who made a slip."""

from pathlib import Path

import pytest

from node.errors import SettingsError
from node.result_kinds import ResultKind
from node.settings import Settings
from node.settings_loading import load_settings

KINDS = [f'"{kind}"' for kind in ResultKind]


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None, environment={})

    assert settings == Settings(data_dir=Path("data").absolute())


def test_the_shipped_file_says_what_the_defaults_say() -> None:
    shipped = Path(__file__).parents[2] / "config" / "node.toml"

    assert load_settings(shipped, environment={}) == load_settings(None, environment={})


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[receive]\nport = 104\nae_title = 'FILE'")

    settings = load_settings(path, environment={"MAMMONODE_RECEIVE__PORT": "11113"})

    assert settings.receive.port == 11113
    assert settings.receive.ae_title == "FILE"


def test_the_command_line_goes_before_the_environment(tmp_path: Path) -> None:
    settings = load_settings(
        None, data_dir=tmp_path / "here", environment={"MAMMONODE_DATA_DIR": "/there"}
    )

    assert settings.data_dir == tmp_path / "here"


def test_a_variable_names_the_file_unless_an_option_does(tmp_path: Path) -> None:
    named = write(tmp_path, "[receive]\nport = 1040")
    environment = {"MAMMONODE_CONFIG": str(named)}
    other = tmp_path / "other.toml"
    other.write_text("[receive]\nport = 1041")

    assert load_settings(None, environment=environment).receive.port == 1040
    assert load_settings(other, environment=environment).receive.port == 1041


def test_lists_come_with_commas_in_the_environment() -> None:
    settings = load_settings(
        None,
        environment={
            "MAMMONODE_RECEIVE__ALLOWED_AE_TITLES": "PACS, WORKSTATION",
            "MAMMONODE_DESTINATIONS": '[{"name": "pacs", "ae_title": "PACS", "host": "pacs",'
            ' "port": 104, "results": "score_report,heat_map"}]',
        },
    )

    assert settings.receive.allowed_ae_titles == ("PACS", "WORKSTATION")
    assert settings.destinations[0].kinds == (ResultKind.SCORE_REPORT, ResultKind.HEAT_MAP)


def test_relative_folders_are_taken_from_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = write(tmp_path / "elsewhere", "data_dir = 'd'\n[model]\nweights = 'w'")
    monkeypatch.chdir(tmp_path)

    settings = load_settings(path, environment={})

    assert settings.data_dir == tmp_path / "d"
    assert settings.model.weights == str(tmp_path / "w")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[receive]\nprot = 104", "receive.prot", "receive.port"),
        ("prot = 104", "prot", "receive.port"),
        ("[study]\nquiet = 5", "study.quiet", "study.quiet_s"),
        ("[recieve]\nport = 104", "recieve", "receive"),
        ("xyzzy = 1", "xyzzy", None),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\nresult=['heat_map']",
            "destinations[0].result",
            "destinations[0].results",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tmp_path: Path, text: str, key: str, nearest: str | None
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(write(tmp_path, text), environment={})

    assert refusal.value.key == key
    assert refusal.value.nearest == nearest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[receive]\nport = 70000",
            "receive.port: found 70000 in node.toml; accepted: a whole number from 0 to 65535.",
        ),
        (
            "[receive]\nport = true",
            "receive.port: found True in node.toml; accepted: a whole number from 0 to 65535.",
        ),
        (
            "[receive]\nae_title = 'FAR TOO LONG A TITLE'",
            (
                "receive.ae_title: found 'FAR TOO LONG A TITLE' in node.toml; "
                "accepted: 1 to 16 characters of ASCII without a backslash."
            ),
        ),
        (
            "[model]\nprevalence = 2",
            "model.prevalence: found 2 in node.toml; accepted: a number above 0 and below 1.",
        ),
        (
            "[study]\nquiet_s = nan",
            "study.quiet_s: found nan in node.toml; accepted: a number from 0.",
        ),
        (
            "receive = 104",
            "receive: found 104 in node.toml; accepted: a table of settings.",
        ),
        (
            "[receive]\nallowed_ae_titles = 5",
            "receive.allowed_ae_titles: found 5 in node.toml; accepted: a list.",
        ),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nprofile='ohif'",
            (
                "destinations[0].port: found nothing in node.toml; "
                "accepted: a whole number from 1 to 65535."
            ),
        ),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\nresults=['score']",
            (
                "destinations[0].results[0]: found 'score' in node.toml; "
                f"accepted: one of {', '.join(KINDS)}."
            ),
        ),
        (
            "[receive]\nhost = '0.0.0.0'",
            (
                "receive.allowed_ae_titles: found no AE title while receive.host is '0.0.0.0'; "
                "accepted: the calling AE titles that may send, or a receive.host on loopback."
            ),
        ),
    ],
)
def test_a_bad_value_is_refused_with_what_is_accepted(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(write(tmp_path, text), environment={})

    assert str(refusal.value) == message


def test_a_bad_value_from_the_environment_names_the_variable() -> None:
    with pytest.raises(SettingsError, match="found 'x' in MAMMONODE_RECEIVE__PORT"):
        load_settings(None, environment={"MAMMONODE_RECEIVE__PORT": "x"})


def test_an_unknown_key_is_shown_with_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"receive\.prot: found 11113, an unknown key in .*port"
    ):
        load_settings(write(tmp_path, "[receive]\nprot = 11113\n"), environment={})


@pytest.mark.parametrize("text", ['[database]\nurll = "hidden"\n', 'web_password = "hidden"\n'])
def test_an_unknown_key_that_may_hold_a_secret_is_shown_without_it(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(SettingsError, match="an unknown key") as refusal:
        load_settings(write(tmp_path, text), environment={})

    assert "hidden" not in str(refusal.value)


def test_a_variable_that_names_no_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"Did you mean MAMMONODE_RECEIVE__PORT\?"):
        load_settings(None, environment={"MAMMONODE_RECEIVE_PORT": "104"})


def test_the_variables_of_the_tests_name_no_setting() -> None:
    settings = load_settings(None, environment={"MAMMONODE_REQUIRE_PEERS": "1", "HOME": "/x"})

    assert settings == load_settings(None, environment={})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://node:hush@db/log",
        "postgresql://db/log?password=hush",
        "mysql://u:hu@sh@db/x",
        "postgresql+psycopg://node:hush@db:port/log",
    ],
)
def test_a_database_password_is_not_in_the_message(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(None, environment={"MAMMONODE_DATABASE__URL": url})

    assert "***" in str(refusal.value)
    assert "hush" not in str(refusal.value)
    assert "sh@db" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_file_that_is_not_there_is_said_to_be() -> None:
    with pytest.raises(SettingsError, match=r"--config: found /no/such\.toml cannot be read"):
        load_settings(Path("/no/such.toml"), environment={})


def test_a_file_that_is_not_toml_is_refused_with_the_place_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "[database]\nurl = postgresql://u:hush@db/log")

    with pytest.raises(SettingsError, match="at line 2") as refusal:
        load_settings(path, environment={})

    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("text", ["[{]", "{}", "[1]"])
def test_destinations_in_the_environment_are_a_json_list_of_tables(text: str) -> None:
    with pytest.raises(SettingsError, match="a JSON list of tables"):
        load_settings(None, environment={"MAMMONODE_DESTINATIONS": text})
