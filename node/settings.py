"""The settings: one frozen tree, read once at start from one TOML file and the environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from node.results import ResultKind

Port = Annotated[int, Field(ge=0, le=65535)]
AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5B\x5D-\x7E]+$")]


class Section(BaseModel):
    """A table of the settings file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatabaseSettings(Section):
    """Where the study log and the work queue are kept."""

    url: str = ""
    """SQLAlchemy URL, as in postgresql+psycopg://user@host/name; empty: SQLite in `data_dir`."""


class ReceiveSettings(Section):
    """The Storage and Verification SCP."""

    ae_title: AETitle = "MAMMONODE"
    """Own AE title; an association that calls another one is rejected."""
    host: str = "127.0.0.1"
    """Address to listen at; beyond loopback only with `allowed_ae_titles`."""
    port: Port = 11112
    """TCP port; 0 takes a free one."""
    allowed_ae_titles: tuple[AETitle, ...] = ()
    """Calling AE titles that may associate; empty: any, and then only on loopback."""
    max_associations: Annotated[int, Field(ge=1)] = 100
    """Associations open at the same time; a further one is rejected as transient."""
    max_object_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
    """Largest data set taken; a larger one aborts its association."""
    network_timeout_s: Annotated[float, Field(gt=0)] = 60
    """An association that is silent for so long is aborted."""
    low_watermark_bytes: Annotated[int, Field(ge=0)] = 2 * 1024**3
    """Free disk space below which nothing more is taken in."""


class StudySettings(Section):
    """When a study counts as complete."""

    view_set_quiet_s: Annotated[float, Field(ge=0)] = 5
    """Wait after the last instance once the four standard views are here."""
    quiet_s: Annotated[float, Field(ge=0)] = 60
    """Wait after the last instance otherwise."""
    cap_s: Annotated[float, Field(gt=0)] = 900
    """Longest wait after the first instance."""


class ModelSettings(Section):
    """Which weights, and what the site knows about its women."""

    weights: str = ""
    """Folder with weights and their manifest; empty: the shipped ones."""
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Fraction of examined women who have cancer; set it, and scores become probabilities."""


class WorkSettings(Section):
    """The durable work."""

    max_attempts: Annotated[int, Field(ge=1)] = 3
    """How often a study's analysis is tried before it is failed."""
    decode_timeout_s: Annotated[float, Field(gt=0)] = 60
    """Time that one image may take to decode."""
    decode_memory_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
    """Memory that decoding one image may take."""


class DeliverySettings(Section):
    """How a failed delivery is tried again; the same for every destination."""

    max_attempts: Annotated[int, Field(ge=1)] = 10
    """How often a delivery is tried before it is failed."""
    first_retry_s: Annotated[float, Field(ge=0)] = 30
    """Wait after the first failure; it doubles with each further one."""
    longest_retry_s: Annotated[float, Field(ge=0)] = 3600
    """Longest wait between two tries."""


class DestinationSettings(Section):
    """One AE that results are sent to."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
    """How the log and the commands call it."""
    ae_title: AETitle
    """Its AE title."""
    host: str
    """Its address."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Its TCP port."""
    results: tuple[ResultKind, ...] = ()
    """Kinds of result object that it gets; or a `profile`."""
    profile: Literal["", "ohif", "everything"] = ""
    """A named set of kinds, in place of `results`."""


class WebSettings(Section):
    """The page; read now, used when it is built."""

    host: str = "127.0.0.1"
    """Address to listen at."""
    port: Port = 8080
    """TCP port."""


class Settings(Section):
    """Everything that an administrator can set."""

    data_dir: Path = Path("data")
    """Folder for images, results and the SQLite database; made if it is not there."""
    database: DatabaseSettings = DatabaseSettings()
    receive: ReceiveSettings = ReceiveSettings()
    study: StudySettings = StudySettings()
    model: ModelSettings = ModelSettings()
    work: WorkSettings = WorkSettings()
    delivery: DeliverySettings = DeliverySettings()
    destinations: tuple[DestinationSettings, ...] = ()
    web: WebSettings = WebSettings()
